"""Finds values that uWSGI reads and then refuses to start with (sanitize_args of core/init.c, and
others), and values that it reads otherwise than they look."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import Ini, Option
from emperor.uwsgi.spec import APPS, whole_number

# cron takes five numbers, and -1 for any (core/cron.c).
_CRON = re.compile(r"\s*(?:[+-]?\d+\s+){4}[+-]?\d+\s*\S")
_CRONS = frozenset({"cron", "unique-cron", "legion-cron", "unique-legion-cron"})
_CRON2_PARTS = frozenset({
    "minute", "hour", "day", "month", "week", "unique", "harakiri", "legion",
})  # fmt: skip
_LEAST_LIFETIME_SECONDS = 10
# uWSGI has these loops itself. A plugin's loop has the name of an option of the plugin.
_LOOPS = frozenset({"simple", "async"})
_OFF = frozenset({"false", "off", "no", "0"})


@dataclass(frozen=True, slots=True)
class Values:
    """The last option of each key, and the options that this uWSGI knows."""

    last: Mapping[str, Option]
    known: Collection[str]

    def number(self, *keys: str, default: int = 0) -> int:
        """The number of the last option with one of `keys`."""
        options = [self.last[key] for key in keys if key in self.last]
        return whole_number(max(options, key=lambda option: option.line)) if options else default

    def line(self, key: str) -> int:
        """The line of the last option `key`."""
        return self.last[key].line

    def is_on(self, key: str) -> bool:
        """Whether a switch is on."""
        return key in self.last and self.last[key].value.lower() not in _OFF


_Rule = Callable[[Values], Iterator[Finding]]


def refused_values(ini: Ini, known: Collection[str]) -> Iterator[Finding]:
    """An error for each value that keeps uWSGI from starting. `known` are the options of uWSGI."""
    values = Values({option.key: option for option in ini.options}, known)
    for rule in _RULES:
        yield from rule(values)
    for option in ini.options:
        if option.key in _CRONS and not _CRON.match(option.value):
            cause = f"{option.key} takes five numbers and a command, not {option.value!r}"
            yield _error(option.line, cause, "write -1 for *, and -N for */N")
        elif option.key == "cron2":
            yield from _cron2(option)


def _error(line: int, cause: str, cure: str) -> Finding:
    return Finding(line, Severity.ERROR, f"{cause}, so the app does not start", cure)


def _cheaper(values: Values) -> Iterator[Finding]:
    cheaper = values.number("cheaper")
    processes = values.number("processes", "workers", default=1)
    if cheaper >= processes > 0 and cheaper > 0:
        cause = f"cheaper = {cheaper} is not below processes = {processes}"
        yield _error(values.line("cheaper"), cause, "raise processes, or lower cheaper")


def _lifetime(values: Values) -> Iterator[Finding]:
    most = values.number("max-worker-lifetime")
    least = values.number("min-worker-lifetime", default=_LEAST_LIFETIME_SECONDS)
    if 0 < most <= least:
        cause = f"max-worker-lifetime = {most} is not above min-worker-lifetime, which is {least}"
        yield _error(values.line("max-worker-lifetime"), cause, "change one of the two")


def _cheaper_memory(values: Values) -> Iterator[Finding]:
    soft, hard = values.number("cheaper-rss-limit-soft"), values.number("cheaper-rss-limit-hard")
    if soft and not values.is_on("memory-report"):
        cause = "cheaper-rss-limit-soft needs memory-report"
        yield _error(values.line("cheaper-rss-limit-soft"), cause, "set memory-report = true")
    if hard and hard <= soft:
        cause = f"cheaper-rss-limit-hard = {hard} is not above cheaper-rss-limit-soft = {soft}"
        yield _error(values.line("cheaper-rss-limit-hard"), cause, "change one of the two")


def _app_needed(values: Values) -> Iterator[Finding]:
    if values.is_on("need-app") and APPS.isdisjoint(values.last):
        cause = "need-app asks for an app, and there is none"
        yield _error(values.line("need-app"), cause, "name one by file = or module =")


def _loop(values: Values) -> Iterator[Finding]:
    option = values.last.get("loop")
    if option and option.value not in _LOOPS and option.value not in values.known:
        cause = f"this uWSGI has no loop {option.value!r}"
        yield _error(option.line, cause, "drop loop, or load the plugin that has it")
    if option and option.value == "async" and values.number("async") < 2:
        cause = "loop = async needs async"
        yield _error(option.line, cause, "set async = 2 or more, or drop loop")


def _cron2(option: Option) -> Iterator[Finding]:
    parts, _, command = option.value.partition(" ")
    if "=" not in parts:
        return
    if not command:
        cause = f"cron2 takes minute=N,hour=N,... and a command, not {option.value!r}"
        yield _error(option.line, cause, "write the command behind a space")
    for name in [part.partition("=")[0] for part in parts.split(",")]:
        if name not in _CRON2_PARTS:
            text = f"cron2 ignores {name}, so the command may run each minute"
            cure = f"use some of {', '.join(sorted(_CRON2_PARTS))}"
            yield Finding(option.line, Severity.WARNING, text, cure)


_RULES: tuple[_Rule, ...] = (
    _cheaper, _lifetime, _cheaper_memory, _app_needed, _loop,
)  # fmt: skip
