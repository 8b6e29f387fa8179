"""Looks at what an ini has uWSGI run and do at its start (`exec-*`, `hook-*`), without running it.

uWSGI gives up if one of these fails (core/uwsgi.c, core/hooks.c).
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.hooks import fails
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import Ini, Option, refers
from emperor.uwsgi.needs import Files
from emperor.uwsgi.paths import OTHER_PROGRAMS
from emperor.uwsgi.places import places
from emperor.uwsgi.programs import Where, judged, searched
from emperor.uwsgi.users import (
    DELAYED_UNTIL_BOUND,
    LOAD,
    LOAD_BEFORE_CHDIR,
    SERVE,
    START,
    Phase,
    Users,
    name_of,
)

_EXECS: Mapping[str, Phase] = {
    "exec-asap": START, "exec-pre-jail": START, "exec-in-jail": START, "exec-as-root": START,
    "exec-as-user": LOAD_BEFORE_CHDIR, "exec-pre-app": LOAD, "exec-post-app": LOAD,
}  # fmt: skip
# After the hooks around the app uWSGI goes on even if they fail.
_HOOKS: Mapping[str, Phase] = {
    "hook-asap": START, "hook-pre-jail": START, "hook-in-jail": START, "hook-as-root": START,
    "hook-as-user": LOAD_BEFORE_CHDIR, "hook-post-fork": SERVE, "hook-accepting": SERVE,
    "hook-accepting1": SERVE, "hook-accepting-once": SERVE,
    "hook-accepting1-once": SERVE,
}  # fmt: skip
_EXEC = re.compile("!?exec:(.+)")
_UWSGI = "uwsgi"
_AROUND_THE_APP = frozenset({"hook-pre-app", "hook-post-app", "hook-master-start"})
# uWSGI does these once, however many workers it starts.
_ONCE = frozenset({"hook-accepting-once", "hook-accepting1-once"})
# uWSGI does these each time that it would drop the rights of root, before the app is loaded.
_REPEATED = frozenset({"hook-as-root", "hook-as-user"})


def unusable_commands(ini: Ini, folder: str, users: Users, files: Files) -> Iterator[Finding]:
    """An error for each command and hook that cannot succeed, and a warning for each command that
    may fail. `folder` is the ini's own."""
    last = ini.last
    if "chroot" in last:
        return
    entered = places(last, folder).folder
    is_delayed = not DELAYED_UNTIL_BOUND.isdisjoint(last)
    inside = Where(users.load, entered, files, searched(ini), ini.is_resolved)
    for option in ini.options:
        if option.key in _AROUND_THE_APP and option.value.startswith(("exit:", "!exit:")):
            yield _ends(option)
        if option.key in OTHER_PROGRAMS and _UWSGI not in _program_of(option.value):
            text = f"{option.key} runs {option.value} in place of uWSGI, and that does not tell"
            cure = "run that as a service of its own"
            yield Finding(
                option.line, Severity.ERROR, f"{text} emperord when it accepts requests", cure
            )
        phase = _EXECS.get(option.key) or _HOOKS.get(option.key)
        if refers(option.value) and not ini.is_resolved:
            continue
        if option.key in _AROUND_THE_APP and (command := _EXEC.fullmatch(option.value)):
            yield from _around(option, command[1], inside)
        if phase is None:
            continue
        is_inside = phase.after_chdir or (phase is LOAD_BEFORE_CHDIR and is_delayed)
        place = entered if is_inside else folder
        where = replace(inside, user=phase.user(users), folder=place)
        if option.key in _EXECS:
            yield from _command(option, option.value, where)
        else:
            is_repeated = option.key in _REPEATED and users.load.uid == ROOT
            yield from _hook(option, where, is_repeated)


def _program_of(command: str) -> str:
    return os.path.basename(command.partition(" ")[0])


def _hook(option: Option, where: Where, is_repeated: bool) -> Iterator[Finding]:
    action, _, argument = option.value.partition(":")
    action = action.removeprefix("!")
    if action == "exec":
        yield from _command(option, argument, where)
    elif action == "exit":
        yield _ends(option)
    else:
        yield from fails(option, where, is_repeated)


def _command(option: Option, command: str, where: Where) -> Iterator[Finding]:
    judgement = judged(command, where)
    if judgement.problem:
        text, cure = judgement.problem
        yield Finding(option.line, Severity.ERROR, f"{text}, so the app does not start", cure)
    elif not judgement.is_fine:
        text = f"if the command of {option.key} fails, the app does not start; check does not run"
        cure = f"try it as {name_of(where.user)}, or let it end in || true"
        yield Finding(option.line, Severity.WARNING, f"{text} it", cure)


def _around(option: Option, command: str, where: Where) -> Iterator[Finding]:
    if problem := judged(command, where).problem:
        text, cure = problem
        text = f"{text}, so {option.key} fails each time, and uWSGI serves on without it"
        yield Finding(option.line, Severity.WARNING, text, cure)


def _ends(option: Option) -> Finding:
    text, severity = "ends uWSGI, so the app does not start", Severity.ERROR
    if option.key in _ONCE:
        # The worker in its place does not come to this hook again.
        text, severity = "ends the first worker, and uWSGI starts another", Severity.WARNING
    text = f"{option.key} = {option.value} {text}"
    return Finding(option.line, severity, text, f"drop {option.key}")
