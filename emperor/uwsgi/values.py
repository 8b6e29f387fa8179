"""Finds values that uWSGI reads and then refuses to start with (sanitize_args of core/init.c, and
others), and values that it reads otherwise than they look."""

import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import (
    HOMES,
    PLUGIN_KEYS,
    Ini,
    Option,
    is_off,
    leading_number,
)  # fmt: skip
from emperor.uwsgi.numbers import whole_number
from emperor.uwsgi.runtime_options import APPS

_CACHE_SIZES = frozenset({"items", "maxitems", "max_items"})
# Options that need both sides of a `=`.
_PAIRS = {"mount": "/PATH=FILE", "worker-mount": "/PATH=FILE", "file-write": "FILE=TEXT"}
# A number of a signal, one blank, and seconds (core/master.c).
_TIMERS = frozenset({"timer", "signal-timer", "rbtimer", "signal-rbtimer"})
_TIMER = re.compile(r"[^ ]* ")
_POOLS = frozenset({"zergpool", "zerg-pool"})
_ALARM = re.compile(r"\S+ (?P<kind>[^:]+):.*")
_LEAST_LIFETIME_SECONDS = 10
# uWSGI has these loops itself. A plugin's loop has the name of an option of the plugin.
_LOOPS = frozenset({"simple", "async"})
# What uWSGI and its plugins register for hooks (uwsgi_register_hook in core/ and plugins/).
_LOGGER_KEYS = frozenset({
    "logger", "log-req", "req-logger", "log", "worker-logger", "worker-log-req",
})  # fmt: skip
_HOOKS = frozenset({
    "cd", "chdir", "mkdir", "putenv", "chmod", "chown", "chown2", "sticky", "exec", "safeexec",
    "create", "creat", "write", "writen", "append", "appendn", "writefifo", "unlink", "mount",
    "umount", "call", "callret", "callint", "callintret", "hostname", "alarm", "rpc", "retryrpc",
    "wait_for_fs", "wait_for_file", "wait_for_dir", "wait_for_socket", "unix_signal",
    "spinningfifo", "exit", "print", "log",
})  # fmt: skip
# Options with a few words as values (uwsgi_python_preinit_apps of plugins/python).
_WORDS = dict.fromkeys(("wsgi-env-behaviour", "wsgi-env-behavior"), ("holy", "cheat"))
# These are in plugins that no uWSGI has from the start.
_PUSHERS_OF_PLUGINS = frozenset({"file", "mongodb"})
_PUSHES = frozenset({"stats-push", "stats-pusher"})
_FILES = frozenset({"file", "wsgi-file"})
STARTING_HOOKS = frozenset({
    "hook-asap", "hook-pre-jail", "hook-in-jail", "hook-as-root", "hook-as-user", "hook-pre-app",
    "hook-post-app", "hook-accepting1", "hook-accepting", "hook-post-fork", "hook-master-start",
})  # fmt: skip
# Options without which an app cannot be loaded.
_NAMES = frozenset({"file", "wsgi-file", "module", "wsgi", "callable"})
_RESOLVED = APPS | HOMES | {"chdir", "chdir2", "chroot", "callable", "pyrun"}
_LISTS = frozenset({"mount", "worker-mount"})
_VARIABLE = re.compile(r"[$%]\([\w.-]+\)")
# With less, an ordinary request of nginx's does not fit: its parameters and a browser's headers.
_LEAST_BUFFER_BYTES = 1024
_LEAST_VARS = 20
# No machine has as much memory. uWSGI takes a negative size for a larger one.
_TOO_MANY_BYTES = 1 << 40
# Their values begin with a regular expression. Of its errors, these are the same in PCRE.
EXPRESSIONS = re.compile(
    r"(?:(?:error|response|final)-)?route(?:-(?:uri|path-info|host|qs|query-string|remote-addr"
    r"|remote-user|user-agent|referer))?|static-expires(?:-uri|-path-info)?(?:-mtime)?"
)
_SAME_IN_PCRE = (
    "missing )", "unbalanced parenthesis", "unterminated character set", "nothing to repeat",
    "multiple repeat",
)  # fmt: skip
# This is text for PCRE.
_NO_REPEAT = "{,"


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
        return key in self.last and not is_off(self.last[key].value)


_Rule = Callable[[Values], Iterator[Finding]]


def refused_values(
    ini: Ini, known: Collection[str], loggers: Collection[str], alarms: Collection[str]
) -> Iterator[Finding]:
    """An error for each value that keeps uWSGI from starting. `known` are the options of uWSGI,
    `loggers` the names of its loggers, and `alarms` those of its kinds of alarms."""
    values = Values(ini.last, known)
    for rule in _RULES:
        yield from rule(values)
    has_plugins = not PLUGIN_KEYS.isdisjoint(values.last)  # which may bring loggers and hooks
    for option in ini.options:
        if option.key in _PAIRS and "=" not in option.value:
            cause = f"{option.key} = {option.value} has no ="
            yield _error(option.line, cause, f"write {option.key} = {_PAIRS[option.key]}")
        elif option.key in _TIMERS and not _TIMER.match(option.value):
            cause = f"{option.key} = {option.value} is no SIGNAL SECONDS"
            yield _error(option.line, cause, f"write {option.key} = 17 60, for instance")
        elif option.value not in _WORDS.get(option.key, (option.value,)):
            cause = f"{option.key} = {option.value} is none of {', '.join(_WORDS[option.key])}"
            yield _error(option.line, cause, f"drop {option.key}")
        elif option.key in _POOLS and ":" not in option.value:
            cause = f"{option.key} = {option.value} names no address"
            yield _error(option.line, cause, f"write {option.key} = PATH:ADDRESS")
        elif option.key == "cache2":
            yield from _cache2(option)
        elif EXPRESSIONS.fullmatch(option.key):
            yield from _expression(option)
        elif option.key == "alarm" and (match := _ALARM.fullmatch(option.value)):
            if match["kind"] not in alarms:
                cause = f"this uWSGI has no alarm of the kind {match['kind']!r}"
                cure = f"load the plugin that has it, or use one of {', '.join(sorted(alarms))}"
                yield _error(option.line, cause, cure)
        elif not has_plugins:
            yield from _named(option, loggers)


def _expression(option: Option) -> Iterator[Finding]:
    pattern = option.value.split(" ", 1)[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        if str(error).startswith(_SAME_IN_PCRE) and _NO_REPEAT not in pattern:
            cause = f"{pattern} of {option.key} is no regular expression: {error}"
            yield _error(option.line, cause, "correct it")


def unset_variables(ini: Ini) -> Iterator[Finding]:
    """An error for an app, or a place of one, with a variable that has no value. uWSGI has resolved
    the ini, and leaves such a variable as it is written."""
    for option in ini.options:
        variable = unset_variable(option.value)
        counts = option.key in _LISTS or ini.last[option.key] is option
        if variable and counts and option.key in _RESOLVED:
            yield _error(option.line, *without_value(option, variable))
        elif option.key in _NAMES and counts and not option.value:
            text = f"{option.key} is empty, so it names no app"
            cure = f"write {option.key} = and the app"
            yield Finding(option.line, Severity.ERROR, text, cure)


def unset_variable(value: str) -> str:
    """The first variable in a value that uWSGI has resolved; empty without one."""
    match = _VARIABLE.search(value)
    return match[0] if match else ""


def without_value(option: Option, variable: str) -> tuple[str, str]:
    """What to say of a variable in the value of an option, and the cure."""
    cure = "write the value itself"
    if variable.startswith("%"):
        cure += ", or set that option above"
    return f"{option.key} = {option.value}: {variable} has no value", cure


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


def _named(option: Option, loggers: Collection[str]) -> Iterator[Finding]:
    """An error for a logger or a hook that uWSGI has not."""
    if option.key in _LOGGER_KEYS:
        identifier, _, rest = option.value.partition(" ")
        logger = (rest if rest and identifier.isalnum() else option.value).partition(":")[0]
        if logger not in loggers:
            cause = f"this uWSGI has no logger {logger!r}"
            yield _error(option.line, cause, f"use one of {', '.join(sorted(loggers))}")
    elif option.key in _PUSHES and option.value.partition(":")[0] in _PUSHERS_OF_PLUGINS:
        name = option.value.partition(":")[0]
        cause = f"this uWSGI has no stats pusher {name!r}"
        yield _error(option.line, cause, f"write plugins = stats_pusher_{name} above it")
    elif option.key in STARTING_HOOKS:
        action, colon, _ = option.value.partition(":")
        if not colon or action.removeprefix("!") not in _HOOKS:
            cause = f"{option.key} = {option.value} names no action of uWSGI's"
            yield _error(option.line, cause, "write ACTION:ARGUMENT, for instance exec:COMMAND")


def _cache2(option: Option) -> Iterator[Finding]:
    names = {part.partition("=")[0] for part in option.value.split(",")}
    if "=" in option.value and not ("name" in names and names & _CACHE_SIZES):
        cause = f"cache2 = {option.value} lacks a name or the number of items"
        yield _error(option.line, cause, "write cache2 = name=NAME,items=N")


def _cache_needed(values: Values) -> Iterator[Finding]:
    option = values.last.get("static-cache-paths")
    if option and values.last.keys().isdisjoint({"cache", "cache2", "static-cache-paths-name"}):
        yield _error(option.line, "static-cache-paths needs cache2", "add cache2 = name=a,items=N")


def _small_request(values: Values) -> Iterator[Finding]:
    for key, least, unit in (
        ("buffer-size", _LEAST_BUFFER_BYTES, "bytes"), ("max-vars", _LEAST_VARS, "variables"),
    ):  # fmt: skip
        size = leading_number(values.last[key].value) if key in values.last else least
        # uWSGI takes a negative buffer-size for the largest one.
        if size < least and not (size < 0 and key == "buffer-size"):
            text = f"{key} = {size} is too small: a usual request has more {unit}"
            yield Finding(values.line(key), Severity.ERROR, text, f"drop {key}")


def _large_buffers(values: Values) -> Iterator[Finding]:
    for key in ("post-buffering", "post-buffering-bufsize"):
        size = leading_number(values.last[key].value) if key in values.last else 0
        if not 0 <= size < _TOO_MANY_BYTES:
            cause = f"{key} = {size} is more memory than there is"
            yield _error(values.line(key), cause, f"drop {key}")


def _called(values: Values) -> Iterator[Finding]:
    option = values.last.get("callable")
    if option and "(" in option.value and not _FILES.isdisjoint(values.last):
        cause = f"uWSGI looks for the name {option.value!r} in the file, and calls nothing"
        name = option.value.partition("(")[0]
        cure = f"write application = {option.value} there, or module = MODULE:{name}()"
        yield _error(option.line, cause, cure)


_RULES: tuple[_Rule, ...] = (
    _large_buffers, _called,
    _cheaper, _lifetime, _cheaper_memory, _app_needed, _loop, _cache_needed, _small_request,
)  # fmt: skip
