"""Finds in the output of a uWSGI which workers, mules, spoolers and daemons end as soon as they
start.

uWSGI starts them again and again (core/master.c, core/daemons.c), and tells the log alone.
"""

import re
from collections import Counter
from collections.abc import Iterator

from emperor.model.policy import MOST_RESPAWNS
from emperor.uwsgi.exits import cause_of, last_words

# The lines in which to look: what is older may be mended.
_LINES = 200
_MULE_DIED = re.compile(r"^OOOPS mule (?P<id>\d+) \(pid: \d+\) crippled")
_SPOOLER_DIED = re.compile(r"^OOOPS the spooler is no more")
# uWSGI waits before it starts a daemon again that it started less than 4 s ago.
_DAEMON_WAITS = re.compile(r'^\[uwsgi-daemons\] throttling "(?P<command>.*)" for \d+ seconds')
_DAEMON_STARTS = re.compile(r'^\[uwsgi-daemons\] (?:re)?spawning "(?P<command>.*)" \(uid')
_STARTED = re.compile(r"^spawned (?:uWSGI mule|the uWSGI spooler)|^\[uwsgi-daemons\] (?:re)?spawn")
_NOT_FOUND = re.compile(r"^/bin/sh: \d+: (?P<what>.*: (?:not found|Permission denied))$")
_CRON_ENDS = re.compile(r'^\[uwsgi-cron\] command "(?P<command>.*)" running with pid \d+ exited')
# uWSGI prints this when more workers died than it has, each within about a second of the one
# before. After that it sleeps for `forkbomb-delay` (2 s), and with 0 it prints nothing.
_TOO_FAST = "worker respawning too fast !!!"
# Of all exits of a worker: after some exit codes uWSGI prints no other line (core/master.c).
_RESPAWNED = re.compile(r"Respawned uWSGI worker (?P<id>\d+) \(new pid: ")
_LEAST = 2
_OF_APP = "cannot load the app: "
_UNKNOWN = "its log does not say why"
_LONGEST_WORD = 120


def workers_die_at_start(printed: str) -> bool:
    """Whether a uWSGI of which no worker accepts yet replaces dead workers again and again. Each
    worker may die a few times, for instance for lack of memory while all of them load the app."""
    respawns = Counter(match["id"] for match in _RESPAWNED.finditer(printed))
    return _TOO_FAST in printed or max(respawns.values(), default=0) >= MOST_RESPAWNS


def failing_again(printed: str) -> str:
    """Which of them cannot run, and why, in a sentence; empty if none is known."""
    lines = printed.splitlines()[-_LINES:]
    return next(_sentences(lines), "")


def _sentences(lines: list[str]) -> Iterator[str]:
    for pattern, name, key in (
        (_MULE_DIED, "mule {id}", "mule"), (_SPOOLER_DIED, "the spooler", "spooler"),
    ):  # fmt: skip
        deaths = [index for index, line in enumerate(lines) if pattern.match(line)]
        if len(deaths) >= _LEAST and (match := pattern.match(lines[deaths[-1]])):
            said = _since_start(lines, deaths[-1])
            cause = cause_of(said).removeprefix(_OF_APP) or last_words(said) or _UNKNOWN
            what = name.format(**match.groupdict())
            yield f"cannot keep {what} running: {cause}{_cure(cause, key)}"
    yield from _daemons(lines)
    for number, line in enumerate(lines[1:]):
        if (end := _CRON_ENDS.match(line)) and (shell := _NOT_FOUND.match(lines[number])):
            yield f"cannot run the job {_short(end['command'])}: {shell['what']}; correct it"


def _daemons(lines: list[str]) -> Iterator[str]:
    """uWSGI prints that a daemon starts, what it prints, and that uWSGI waits before the next
    start."""
    started: dict[str, int] = {}
    waits: dict[str, int] = {}
    said: dict[str, list[str]] = {}
    for number, line in enumerate(lines):
        if match := _DAEMON_STARTS.match(line):
            started[match["command"]] = number
        elif match := _DAEMON_WAITS.match(line):
            command = match["command"]
            waits[command] = waits.get(command, 0) + 1
            said[command] = lines[started.get(command, number) + 1 : number]
    for command, count in waits.items():
        if count >= _LEAST:
            shell = (match["what"] for line in said[command] if (match := _NOT_FOUND.match(line)))
            cause = next(shell, "") or last_words("\n".join(said[command]))
            cause = cause or "it ends as soon as it has started"
            name = _short(command)
            yield f"cannot keep the daemon {name} running: {cause}; correct it, or drop it"


def _since_start(lines: list[str], death: int) -> str:
    starts = [number for number in range(death) if _STARTED.match(lines[number])]
    return "\n".join(lines[starts[-1] + 1 if starts else 0 : death])


def _cure(cause: str, key: str) -> str:
    return "" if ";" in cause else f"; correct {key}, or drop it"


def _short(command: str) -> str:
    return repr(command if len(command) <= _LONGEST_WORD else f"{command[:_LONGEST_WORD]}…")
