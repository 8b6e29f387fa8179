"""Judges when a cron job of an ini runs (core/cron.c), for `emperorctl check`."""

import re
from collections.abc import Iterator

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import Ini, Option

_CRONS = frozenset({"cron", "unique-cron"})
# Their values begin with the name of a legion.
_LEGION_CRONS = frozenset({
    "legion-cron", "cron-legion", "unique-legion-cron", "unique-cron-legion",
})  # fmt: skip
# Five numbers, of which -1 stands for any, and -N for each N.
_TIMES = re.compile(r"\s*((?:[+-]?\d+\s+){4}[+-]?\d+)(?!\d)(.*)", re.DOTALL)
# The fields in their order, with the least and the greatest number. uWSGI compares each with the
# time, and looks at none of them before.
_FIELDS = (
    ("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7),
)  # fmt: skip
_PARTS = frozenset({"minute", "hour", "day", "month", "week", "unique", "harakiri", "legion"})
_FIELDS_OF_CRON2 = {("week" if name == "weekday" else name): rest for name, *rest in _FIELDS}
_NUMBER = re.compile(r"[+-]?\d+")


def unusable_crons(ini: Ini) -> Iterator[Finding]:
    """An error for each job that uWSGI refuses, and a warning for each one that never runs, or at
    other times than it looks."""
    for option in ini.options:
        if option.key in _CRONS:
            yield from _cron(option, option.value)
        elif option.key in _LEGION_CRONS:
            yield from _cron(option, option.value.partition(" ")[2])
        elif option.key == "cron2":
            yield from _cron2(option)


def _cron(option: Option, job: str) -> Iterator[Finding]:
    match = _TIMES.match(job)
    if match is None:
        text = f"{option.key} takes five numbers and a command, not {option.value!r}"
        yield _error(option, text, "write -1 for *, and -N for */N")
        return
    if not match[2].strip():
        yield _warning(option, f"{option.key} = {option.value} names no command", "write it there")
    for (field, least, most), number in zip(_FIELDS, match[1].split(), strict=True):
        yield from _never(option, f"{field} {number}", int(number), least, most)


def _cron2(option: Option) -> Iterator[Finding]:
    parts, _, command = option.value.partition(" ")
    if "=" not in parts:
        return
    if not command:
        text = f"cron2 takes minute=N,hour=N,... and a command, not {option.value!r}"
        yield _error(option, text, "write the command behind a space")
    for name, _, value in [part.partition("=") for part in parts.split(",")]:
        if name not in _PARTS:
            text = f"cron2 ignores {name}, so the command may run each minute"
            yield _warning(option, text, f"use some of {', '.join(sorted(_PARTS))}")
        elif name in _FIELDS_OF_CRON2 and not _NUMBER.fullmatch(value):
            text = f"{name}={value} of cron2 counts as 0: uWSGI reads digits only"
            yield _warning(option, text, "write a number, -1 for any, or -N for each N")
        elif name in _FIELDS_OF_CRON2:
            least, most = _FIELDS_OF_CRON2[name]
            yield from _never(option, f"{name} {value}", int(value), least, most)


def _never(option: Option, moment: str, number: int, least: int, most: int) -> Iterator[Finding]:
    if not (number < 0 or least <= number <= most):
        text = f"there is no {moment}, so the job of {option.key} never runs"
        yield _warning(option, text, f"write {least} to {most}, or -1 for any")


def _error(option: Option, text: str, cure: str) -> Finding:
    return Finding(option.line, Severity.ERROR, f"{text}, so the app does not start", cure)


def _warning(option: Option, text: str, cure: str) -> Finding:
    return Finding(option.line, Severity.WARNING, text, cure)
