"""Why a uWSGI exited, in a sentence: from its exit status and from the end of its output."""

import re
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from emperor.linux.groups import ENTERING, NOT_ENTERED
from emperor.linux.processes import signal_name
from emperor.model.ports import Exit
from emperor.uwsgi.causes import RULES
from emperor.uwsgi.command import VACUUM_GUARD
from emperor.uwsgi.cures import (
    ANY_ERROR,
    ANY_EXCEPTION,
    CIRCULAR,
    CURES,
    EXCEPTIONS,
    IN_A_CIRCLE,
    OF_EXCEPTIONS,
    OTHER_PYTHON,
    SIGNALS,
)

# uWSGI's own exit codes (uwsgi.h: UWSGI_FAILED_APP_CODE, and exit(1) of its configuration).
_CANNOT_LOAD, _GAVE_UP = 22, 1
_NEEDS_APP = "need-app requested"
_GUARDED = f'running "{VACUUM_GUARD}'
_EXITS = {_CANNOT_LOAD: "the app could not be loaded", _GAVE_UP: "uWSGI gave up"}

# The line that ends a traceback. uWSGI prints it alone where `module` itself cannot be found.
_RAISED = re.compile(
    r"^(?:[ ]{2}\|[ ])?"  # of a group of exceptions
    r"(?P<text>(?:\w[\w-]*\.)*(?P<name>[A-Z]\w*)(?::[ ].*)?)$",
    re.MULTILINE,
)
_TRACEBACK = "Traceback (most recent call last):"
_DIRECT_CAUSE = "The above exception was the direct cause of the following exception:"
# The name that uWSGI gives to the module of `file`.
_OWN_MODULE = re.compile(r"^uwsgi_file_[^.:\s]+\.")
_FRAME = re.compile(r'^(?:  \| )?  File "(?P<file>[^<"][^"]*)", line (?P<line>\d+)', re.MULTILINE)
# Says nothing of who has named the module: import_module() of any framework.
_IMPORT_BY_NAME = "/importlib/__init__.py"
_EXCEPTION_NAME = re.compile(r"(?:Error|Exception|Warning|Exit|Interrupt)$")
_VIRTUALENV = re.compile(r"^PEP 405 virtualenv detected: (.*)", re.MULTILINE)
_PYTHON = re.compile(r"^Python version: (\d+\.\d+)", re.MULTILINE)
# emperor/uwsgi/before_app.py says so before the app is imported.
_OTHER_PYTHON = re.compile(
    r"^\[emperor\] (?P<cause>\S.* is a virtualenv of Python [\d.]+), and this is (?P<ours>[\d.]+)$",
    re.MULTILINE,
)
_NOT_FOUND = frozenset({"ModuleNotFoundError", "ImportError"})
# Lines that uWSGI prints also when all is well, or at every exit.
_CHATTER = re.compile(
    r"""^\s*$ | ^\[emperor\] | ^\*\*\*\ | ^-+ | ^!!!\ no\ internal\ routing
    | ^(?:uWSGI\ running\ as\ root|your\ |detected\ |current\ working|compiled\ with|os:\ |nodename:
    | machine:|clock\ source|pcre\ jit|lock\ engine|thunder\ lock|limiting
    | setting\ |scheduler\ priority
    | Python\ version|Python\ main|python\ threads|PEP\ 405|Set\ PythonHome|mapped\ |cores\ alloc
    | spawned\ |gracefully\ \(RE\)|Respawned|respawned\ |WSGI\ app\ |added\ .*\ to\ pythonpath
    | chdir\(\)\ to|chroot\(\)\ to|setgid\(\)\ to|setuid\(\)\ to|set\ additional|building\ mime
    | dropping\ |writing\ pidfile|mounting\ |running\ \"|threads\ stack|uWSGI\ http\ bound|uwsgi\ s
    | goodbye|worker\ (?:\d|respawning\ too)|Gracefully
    | SIGINT|SIGTERM|VACUUM|OOPS|DAMN|\.\.\.|FATAL\ hook|The\ work\ of
    | unable\ to\ load\ app\ \d|no\ request\ plugin|open\ files|max\ open|\[uWSGI\]|\[uwsgi-static\]
    | failed\ to\ open\ python\ file\ .*/uwsgi/(?:inside|time_imports)\.py$
    | probably\ another|binary\ path|Loading\ |Traceback|announcing\ my\ loyalty)
    | \ -\ (?:need-app\ requested|announcing|graceful|lost\ communication|received\ message
    | \*\*\*\ )
    | \ -\ uWSGI\ \w+\ \d+\ error:\ the\ master\ disconnected
    | \[0x[0-9a-f]+\]$ | ^\[pid:\ \d | message\ \d+\ from\ emperor | ^\.\.\.
    """,
    re.VERBOSE,
)
# A worker says so where its master is gone without a word.
_ORPHANED = " error: the master disconnected from this worker"
_ELSEWHERE = "its log does not say why, so look where logto or daemonize of the ini send its output"
_NO_ROOM = "its log does not say why, since the disk of the log is full; free space there"
# uWSGI prints this before it loads the app (uwsgi_start of core/uwsgi.c).
NO_WORKERS = "*** Operational MODE: no-workers ***"
# It prints this before it loads the app, and that when the app is loaded.
_LOADING, _SPAWNED = "*** Operational MODE: ", "spawned uWSGI "
_RESPAWNED = "Respawned uWSGI worker"
_ENDED_ITSELF = "{} ended itself, by sys.exit() or os._exit() perhaps"
_LONGEST_WORD, _LONGEST = 160, 500
# An app prints what it likes. On long lines, or thousands of short ones, the patterns would take up
# to 10 s (measured), in which the daemon answers nobody.
_MOST_LINES, _HEAD_OF_LINE, _END_OF_LINE = 200, 160, 60


# core/master.c: master_loop; core/master_utils.c: uwsgi_detach_daemons and others.
_DEATH = re.compile(
    r"DAMN ! worker (?P<worker>\d+) \(pid: (?P<pid>\d+)\) (?:died|MISTERIOUSLY killed)"
    r"(?:,? (?:killed )?by signal (?P<signal>\d+))?"
)
# The line of a request in the log (core/logging.c: log_request).
_ANSWERED = re.compile(r"^\[pid: \d+\|app: ", re.MULTILINE)
_HARAKIRI = re.compile(r"HARAKIRI ON WORKER \d+ \(pid: (?P<pid>\d+)")
_OVERDUE = re.compile(r"HARAKIRI \[core \d+\] .* - (?P<request>\S+ \S+) since \d+")


class Killed(Enum):
    """Whether emperord killed the process, and if so, whether it had been told to stop."""

    NOT = "not"
    UNTOLD = "untold"
    TOLD = "told"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the output does not tell: what holds an address, in words, which addresses the ini has
    uWSGI bind beside its own socket, which limit the app has reached, in a sentence, whether the
    disk of its log is full, and what the app was importing, in words, if that is known."""

    holder: Callable[[str], str] = lambda _: "by another process"
    bound: Collection[str] = ()
    hit: str = ""
    is_log_full: Callable[[], bool] = lambda: False
    importing: str = ""


def explain_exit(
    ended: Exit, printed: str, around: Circumstances, killed: Killed = Killed.NOT
) -> str:
    """Why a uWSGI ended, "cannot X: cause; cure" as far as the table of causes knows it, else its
    exit status and the last line of its output that is no chatter."""
    printed = _bounded(printed)
    if killed is Killed.TOLD or (ended.code == 0 and not _ends_in_the_app(printed)):
        return str(ended)
    if around.hit:
        return around.hit
    if killed is Killed.UNTOLD:
        why = _cause(printed, around) or _death(printed) or _last_line(printed)
        return f"{around.importing}; {why}" if around.importing else why
    if ended.signal == "SIGKILL" and _GUARDED in printed:
        # It was about to exit (uwsgi/command), with one of these.
        ended = Exit(code=_CANNOT_LOAD if _NEEDS_APP in printed else _GAVE_UP)
    if ended.signal is not None:
        return _by_signal(ended, printed, around)
    cause = _cause(printed, around)
    if cause and ended.code is None:
        # An earlier emperord started it, and it may have printed this long ago.
        return f"{ended}; {cause}"
    return cause or _by_status(ended, printed, around)


def _ends_in_the_app(printed: str) -> bool:
    """Whether a uWSGI that ended with success was loading the app, and printed no other end."""
    return _LOADING in printed.rpartition(_SPAWNED)[2] and "FATAL" not in printed


def cause_of(printed: str) -> str:
    """The sentence for a failure in this part of the output; empty where the table has none."""
    return _cause(_bounded(printed), Circumstances()) or ""


def last_words(printed: str) -> str:
    """The last line of this part of the output that is no chatter; empty if there is none."""
    return _said(_bounded(printed))


def has_no_workers(printed: str) -> bool:
    """Whether a uWSGI that has set up its workers has none."""
    return NO_WORKERS in printed


def explain_replacement(printed: str) -> str:
    """Why the last worker died that the master has replaced; empty if it ended in order, as after
    max-requests. uWSGI prints this before the new worker accepts."""
    printed = _bounded(printed)
    death = _last(_DEATH, printed)
    if death is None:
        return ""
    # What was printed since the worker before it was started, and since the last request that was
    # answered: an exception in one of these has killed no worker.
    begun = printed.rfind("pawned uWSGI worker", 0, death.start()) + 1
    said = printed[max(begun, _end_of_last(_ANSWERED, printed[: death.start()])) : death.start()]
    worker = f"worker {death['worker']} (pid {death['pid']})"
    if (harakiri := _last(_HARAKIRI, said)) and harakiri["pid"] == death["pid"]:
        request = _last(_OVERDUE, said)
        during = f" during {request['request'].partition('?')[0]}" if request else ""
        return (
            f"cannot answer in time: harakiri killed {worker}{during[:_LONGEST_WORD]}; make such"
            " requests faster, or raise harakiri"
        )
    if death["signal"]:
        name = signal_name(int(death["signal"]))
        meaning = SIGNALS.get(name)
        return f"{worker} was killed by {name}" + (f": {meaning}" if meaning else "")
    if cause := _cause(said, Circumstances()):
        return f"{worker} died: {cause}"
    return _ENDED_ITSELF.format(worker)


def _end_of_last(pattern: re.Pattern[str], text: str) -> int:
    found = _last(pattern, text)
    return found.end() if found else 0


def _bounded(printed: str) -> str:
    """The last lines, and of a long line both ends."""
    return "\n".join(
        line
        if len(line) <= _HEAD_OF_LINE + _END_OF_LINE
        else f"{line[:_HEAD_OF_LINE]}…{line[-_END_OF_LINE:]}"
        for line in printed.split("\n")[-_MOST_LINES:]
    )


def _by_signal(ended: Exit, printed: str, around: Circumstances) -> str:
    """A fatal error of Python explains an abort(); other complaints may be old."""
    if ended.signal == "SIGABRT" and (cause := _cause(printed, around)) and "Python" in cause:
        return cause
    meaning = SIGNALS.get(ended.signal or "")
    return f"{ended}: {meaning}" if meaning else str(ended)


def _cause(printed: str, around: Circumstances) -> str | None:
    """The sentence of the rule whose match ends in the latest line, or of a later exception."""
    for is_vague in (False, True):
        latest, best, sentence = -1, None, ""
        for rule in RULES:
            match = _last(rule.pattern, printed) if rule.is_vague is is_vague else None
            if match is not None and (line := printed.count("\n", 0, match.end())) > latest:
                latest, best, sentence = line, match, rule.sentence
        raised = None if is_vague else _raised(printed)
        if raised is not None and printed.count("\n", 0, raised.end()) > latest:
            return _exception(raised, printed)
        if best is not None:
            return _filled(sentence, best, around)[:_LONGEST]
    return None


def _last(pattern: re.Pattern[str], printed: str) -> re.Match[str] | None:
    return next(iter(deque(pattern.finditer(printed), maxlen=1)), None)


def _filled(sentence: str, match: re.Match[str], around: Circumstances) -> str:
    words = {name: (text or "").strip()[:_LONGEST_WORD] for name, text in match.groupdict().items()}
    words["cure"] = CURES.get(words.get("error", ""), ANY_ERROR)
    words["bound"] = f" ({', '.join(around.bound)})"[:_LONGEST_WORD] if around.bound else ""
    if "{holder}" in sentence:
        words["holder"] = around.holder(words["address"])
    if "{command}" in sentence:
        words |= _hook(words)
    return sentence.format(**words)


def _hook(words: Mapping[str, str]) -> dict[str, str]:
    """The option that has the command, and the last line that it printed."""
    phase, said = words["phase"], words["said"].splitlines()
    if not phase:
        return {"option": "a hook", "said": ""}
    kind = "exec" if words["hook"] == words["command"] else "hook"
    place = "as-user" if phase.startswith("as uid") else phase.replace(" ", "-")
    return {"option": f"{kind}-{place}", "said": f": {said[-1]}" if said else ""}


def _raised(printed: str) -> re.Match[str] | None:
    """The line of the last exception. A class of any name counts at the end of a traceback."""
    raised = None
    for match in _RAISED.finditer(printed):
        if _EXCEPTION_NAME.search(match["name"]) or _ends_traceback(printed, match.start()):
            raised = match
    return raised


def _exception(raised: re.Match[str], printed: str) -> str:
    text, place = _named(raised), _place(printed, raised.start())
    # uWSGI may have started more than once in the same process.
    other = _OTHER_PYTHON.search(printed, max(0, printed.rfind("Python version: ")))
    if other and raised["name"] in _NOT_FOUND:
        cause, cure = other["cause"], OTHER_PYTHON.format(python=other["ours"])
        return f"cannot load the app: {text}{place}: {cause}; {cure}"[:_LONGEST]
    first = _first_of_chain(raised, printed)
    since = f", since {_named(first)}" if first else ""
    cure = _exception_cure(first or raised, printed)
    return f"cannot load the app: {text}{place}{since}; {cure}"[:_LONGEST]


def _named(raised: re.Match[str]) -> str:
    return _OWN_MODULE.sub("", raised["text"])[:_LONGEST_WORD]


def _first_of_chain(raised: re.Match[str], printed: str) -> re.Match[str] | None:
    """The exception from which that one was raised, and so on; None if it was raised by itself."""
    first, end = None, printed.rfind(_TRACEBACK, 0, raised.start())
    while end > 0 and (said := printed[:end].rstrip()).endswith(_DIRECT_CAUSE):
        first = _raised(said)
        end = printed.rfind(_TRACEBACK, 0, first.start()) if first else -1
    return first


def _place(printed: str, end: int) -> str:
    """The innermost frame of the traceback that ends there, without those of an import by name; a
    SyntaxError alone has a frame too."""
    begins = max(0, printed.rfind(_TRACEBACK, 0, end))
    frames = list(_FRAME.finditer(printed, begins, end))
    frames = [each for each in frames if not each["file"].endswith(_IMPORT_BY_NAME)] or frames
    return f" ({frames[-1]['file']}, line {frames[-1]['line']})" if frames else ""


def _ends_traceback(printed: str, at: int) -> bool:
    begins = printed.rfind(_TRACEBACK, 0, at)
    between = printed[begins + len(_TRACEBACK) + 1 : at].splitlines()
    return begins >= 0 and bool(between) and all(line.startswith(" ") for line in between)


def _exception_cure(raised: re.Match[str], printed: str) -> str:
    if IN_A_CIRCLE in raised[0]:
        return CIRCULAR
    for error in OF_EXCEPTIONS:
        if error in raised[0]:
            return CURES[error]
    virtualenv = _last(_VIRTUALENV, printed)
    version = _last(_PYTHON, printed)
    python = f"Python {version[1]}" if version else "uWSGI's Python"
    where = f" in {virtualenv[1]}" if virtualenv else ""
    cure = EXCEPTIONS.get(raised["name"], ANY_EXCEPTION)
    return cure.format(where=f"{where} for {python}", python=python)


# setpriv(1), which has looked for the groups of the user.
_NO_ACCOUNT = re.compile(r"^setpriv: uid (?P<uid>\d+) not found", re.MULTILINE)
# A process that was about to become the app (bases/inside/app.py, place.py).
_NOT_STARTED = re.compile(r"^emperord: (?P<why>cannot (?:enter|start) .*)", re.MULTILINE)


def _by_status(ended: Exit, printed: str, around: Circumstances) -> str:
    if ended.code is None:
        words = str(ended)
    elif ended.code == NOT_ENTERED and f"{ENTERING}: " in printed:
        words = "cannot enter its control group"
    elif ended.code == 1 and (gone := _NO_ACCOUNT.search(printed)):
        return (
            f"cannot run the app: there is no user with uid {gone['uid']} any more; make the user"
            " again, or name another: uid in [emperor], or the owner of the ini"
        )
    elif ended.code == 1 and (failed := _NOT_STARTED.search(printed)):
        return failed["why"]
    elif ended.code in _EXITS:
        words = f"{_EXITS[ended.code]} ({ended})"
    else:
        words = f"the app ended itself ({ended}), by sys.exit() or os._exit() perhaps"
    said = _said(printed)
    if not said and ended.code in _EXITS:
        if _ORPHANED in printed:
            return f"the app ended the master process itself ({ended}), by os._exit() perhaps"
        # uWSGI itself always says something.
        return f"{words}; {_NO_ROOM if around.is_log_full() else _ELSEWHERE}"
    return f"{words}: {said}" if said else words


def _death(printed: str) -> str:
    """How the last worker died before emperord killed the master, and the last line of the log."""
    how = explain_replacement(printed)
    if not how and _RESPAWNED in printed:
        # uWSGI takes some exit codes for its own, and prints no death (uwsgi.h: UWSGI_*_CODE).
        how = _ENDED_ITSELF.format("a worker")
    said = _said(printed)
    return f"{how}; {_last_line(printed)}" if how and said else how


def _last_line(printed: str) -> str:
    said = _said(printed)
    return f"the last line of its log is {said!r}" if said else "its log does not say why"


def _said(printed: str) -> str:
    """The last line that is no chatter."""
    lines = reversed(printed.splitlines())
    said = next((line for line in lines if not _CHATTER.search(line)), "")
    return said.strip()[:_LONGEST_WORD]
