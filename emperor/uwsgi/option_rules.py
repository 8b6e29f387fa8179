"""Tells what an option means here by its name, its value and the spec alone."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from emperor.model.duration import format_duration
from emperor.model.spec import Spec
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import SHARED_SOCKETS, Ini, is_off, leading_number
from emperor.uwsgi.once import HELPERS
from emperor.uwsgi.options import PACKET_BYTES, Adoption, uwsgi_options
from emperor.uwsgi.spec import ROUTERS


@dataclass(frozen=True, slots=True)
class _Rule:
    """A finding about each option with one of `keys`, if `applies` to its value and the spec. The
    texts can contain `{key}`, `{value}`, `{domain}`, `{socket}` and `{idle}`."""

    keys: Collection[str]
    severity: Severity
    text: str
    cure: str
    applies: Callable[[str, Spec], bool] = lambda value, spec: True


def _is_off(value: str, _: Spec) -> bool:
    return is_off(value)


def _is_on(value: str, spec: Spec) -> bool:
    return not _is_off(value, spec)


def _by_name(_: str, spec: Spec) -> bool:
    return uwsgi_options(spec).adoption is Adoption.BY_NAME


def _is_no_number(value: str, _: Spec) -> bool:
    return not value.isdecimal()


def _is_narrow(value: str, spec: Spec) -> bool:
    return value.isdecimal() and spec.head_bytes < PACKET_BYTES


def _makes_no_socket(_: str, spec: Spec) -> bool:
    return not any(address.startswith(("/", "@")) for address in spec.foreign_sockets)


def _sleeps(_: str, spec: Spec) -> bool:
    return spec.idle > 0


_ENVIRONMENT = re.compile(r"(?:UWSGI_(?:RELOADS|EMPEROR)|LISTEN_|NOTIFY_)\w*\s*=")

# With 10 the worker hangs at its first connection, and with 20 it serves (measured).
_LEAST_DESCRIPTORS = 20
DECLARE = frozenset({"declare-option", "declare-option2"})
_RULES = (
    _Rule({"master"}, Severity.NOTE,
          "emperord runs it with a master all the same, which obeys its orders",
          "drop master = {value}", _is_off),
    _Rule({"cheap"}, Severity.NOTE,
          "emperord runs it with cheap=false, since the first request starts it",
          "drop cheap; an unused app costs nothing here anyway", _is_on),
    _Rule({"worker-exec", "worker-exec2", "python-worker-override"}, Severity.ERROR,
          "{key} replaces the worker that would tell emperord that the app accepts",
          "let uWSGI load the app, by module or file"),
    _Rule({"pyrun", "py", "python"}, Severity.ERROR,
          "{key} runs {value} in place of each worker, so none accepts a request",
          "run that script as a service of its own, or load it by import"),
    _Rule({"pyshell"}, Severity.ERROR,
          "{key} runs a shell in place of the first worker, and there is no terminal",
          "drop {key}"),
    _Rule({"version", "dump-options", "help", "usage", "cflags", "python-version", "dot-h",
           "config-py", "build-plugin", "test", "ping", "nagios", "extract", "connect-and-read"},
          Severity.ERROR, "{key} makes uWSGI print something and end", "drop {key}"),
    _Rule({"stop", "reload", "pause", "suspend", "resume", "signal"}, Severity.ERROR,
          "{key} makes uWSGI send a signal to another process and end", "drop {key}"),
    _Rule({"refork", "re-fork", "refork-as-root", "re-fork-as-root", "refork-post-jail",
           "re-fork-post-jail"}, Severity.ERROR,
          "{key} makes uWSGI fork and end, which is the end of the app for emperord",
          "drop {key}"),
    _Rule({"max-fd"}, Severity.ERROR,
          "max-fd = {value} leaves uWSGI no descriptor for a connection", "drop max-fd",
          lambda value, _: 0 < leading_number(value) < _LEAST_DESCRIPTORS),
    _Rule({"zerg", "emperor", "no-server"}, Severity.ERROR,
          "with {key} this is no app that serves a socket of its own",
          "run it as a service of its own, outside of emperord"),
    _Rule(SHARED_SOCKETS, Severity.ERROR,
          "{key} is not set up here for gevent, asyncio and the like: uWSGI takes its start for a "
          "reload", "use a plain socket, or none", _by_name),
    _Rule({"pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2"}, Severity.WARNING,
          "{key} is not written here for gevent, asyncio and the like: uWSGI takes its start for a "
          "reload", "use `emperorctl status --json`, which has the pid", _by_name),
    _Rule({"daemonize", "daemonize2", "logto", "logto2", "logger", "log-syslog", "log-socket"},
          Severity.WARNING, "its output goes to {value}, and `emperorctl logs {domain}` lacks it",
          "drop {key}"),
    _Rule({"shutdown-sockets"}, Severity.NOTE,
          "{key} is switched off here: it would shut the socket that emperord keeps", "drop {key}",
          _is_on),
    _Rule({"die-on-idle"}, Severity.NOTE,
          "die-on-idle is always on here, so that nothing of a sleeping app stays in memory",
          "set always = true in [emperor] for an app that must not sleep", _is_off),
    _Rule({"chmod-socket", "chmod", "chown-socket"}, Severity.NOTE,
          "{key} has no effect on a socket that emperord makes",
          "see socket-owner, socket-group and socket-mode in emperord.ini", _makes_no_socket),
    _Rule(HELPERS | {"timer", "rbtimer", "signal-timer", "signal-rbtimer"}, Severity.WARNING,
          "what {key} starts does not run while the app sleeps, after {idle} without a request",
          "set always = true in [emperor] if it must run always, or run it as a service of its own",
          _sleeps),
    _Rule(ROUTERS, Severity.WARNING, "{key} answers at {value} while the app is awake, but a "
          "request there does not wake it", "let nginx pass requests to {socket}"),
    _Rule({"touch-reload", "fs-reload", "fs-brutal-reload", "py-autoreload", "python-autoreload",
           "py-auto-reload", "python-auto-reload"}, Severity.NOTE,
          "{key} has uWSGI start anew in place: a version that cannot start takes the site down",
          "use `emperorctl reload {domain}`, or touch the ini: the old version then serves on"),
    _Rule({"env"}, Severity.WARNING, "emperord sets {value} for uWSGI itself",
          "drop that env", lambda value, _: _ENVIRONMENT.match(value) is not None),
    _Rule(DECLARE, Severity.NOTE,
          "emperord does not see the options that {value} stands for",
          "write out socket, idle and the app"),
    _Rule({"idle"}, Severity.WARNING, "uWSGI reads only the digits of {value!r}, as seconds",
          "write a whole number of seconds, or move idle to [emperor]", _is_no_number),
    _Rule({"buffer-size"}, Severity.NOTE,
          "a request whose headers and parameters are above {value} bytes gets 431; by default, an "
          "app here takes 65535", "drop buffer-size", _is_narrow),
)  # fmt: skip

RULES_OF = {
    key: tuple(rule for rule in _RULES if key in rule.keys)
    for key in frozenset[str]().union(*(rule.keys for rule in _RULES))
}
ERRORS_OF = {
    key: errors
    for key, rules in RULES_OF.items()
    if (errors := tuple(rule for rule in rules if rule.severity is Severity.ERROR))
}


def findings_of_options(
    ini: Ini, spec: Spec, rules_of: Mapping[str, tuple[_Rule, ...]]
) -> Iterator[Finding]:
    """What `RULES_OF`, or `ERRORS_OF` alone, say of the options."""
    for option in ini.options:
        for rule in rules_of.get(option.key, ()):
            if rule.applies(option.value, spec):
                words = {
                    "key": option.key, "value": option.value,
                    "domain": spec.domain, "socket": spec.socket,
                    "idle": format_duration(spec.idle),
                }  # fmt: skip
                text, cure = rule.text.format(**words), rule.cure.format(**words)
                yield Finding(option.line, rule.severity, text, cure)
