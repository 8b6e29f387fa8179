"""Judges numbers that a command prints, as in `processes = @(exec://nproc)`, without running it.

The daemon does not know such a number before uWSGI has started.
"""

import re
from collections.abc import Iterator

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import ONE_PER_CORE, WORKERS, Ini, Option, is_computed, leading_number
from emperor.uwsgi.loops import is_gevent
from emperor.uwsgi.programs import Where, judged

_COMMAND = re.compile(r"@\(exec://(?P<command>.*)\)")
_ECHO = re.compile(r"echo\s+(?P<text>[\w+-]+)")
_LEAST_GREENLETS = 2


def computed_numbers(ini: Ini, where: Where) -> Iterator[Finding]:
    """An error for a command that prints no number of workers or greenlets, and a note about a
    command that may print one. uWSGI runs it as it reads the ini, by `where`."""
    last = ini.last
    workers = max(
        (last[key] for key in WORKERS & last.keys()), key=lambda each: each.line, default=None
    )
    if workers:
        yield from _computed(workers, 1, where)
    if is_gevent(last) and "gevent" in last and "async" not in last:
        yield from _computed(last["gevent"], _LEAST_GREENLETS, where)


def _computed(option: Option, least: int, where: Where) -> Iterator[Finding]:
    command = _COMMAND.fullmatch(option.value)
    if not is_computed(option) or command is None:
        return
    example = f"{ONE_PER_CORE} for one per core" if option.key in WORKERS else "100"
    cure = f"write the number itself, or {option.key} = {example}"
    echo = _ECHO.fullmatch(command["command"])
    problem = judged(command["command"], where).problem
    if problem or (echo and leading_number(echo["text"]) < least):
        few = f"{option.key} = {echo['text']} is too few" if echo else ""
        text = f"{problem[0]}, so {option.key} counts as 0" if problem else few
        text += ", and no worker accepts requests"
        yield Finding(option.line, Severity.ERROR, text, cure)
    elif echo is None:
        text = f"check does not run the command that computes {option.key}: if it prints no number"
        text += f" from {least} on, the app is not served"
        yield Finding(option.line, Severity.NOTE, text, cure)
