"""Has uWSGI set up what an ini asks for inside of uWSGI itself, without the app.

uWSGI looks at the value of many options only when it sets them up: caches, farms, alarms, metrics,
log encoders, memory limits, and the regular expressions of routes. So it gets these options alone,
without an app, a socket or a file of the ini, and ends in its hook for the moment when apps are
loaded. A regular expression of any option becomes one of `log-filter`, which acts on nothing.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import structs

from emperor.model.spec import Identity
from emperor.uwsgi.exits import NO_WORKERS, Circumstances, explain_exit
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import URLS, Ini, Option
from emperor.uwsgi.plugins import Plugins
from emperor.uwsgi.resolver import CannotResolve, Resolver
from emperor.uwsgi.values import EXPRESSIONS

# Options with an effect inside of the uWSGI process alone: they open no file, bind no address, and
# run nothing before a worker accepts.
_INSIDE = frozenset({
    "processes", "workers", "threads", "async", "cheaper", "cheaper-algo", "cheaper-initial",
    "buffer-size", "post-buffering", "post-buffering-bufsize", "max-vars", "thread-stacksize",
    "threads-stacksize", "limit-as", "max-apps", "locks", "lock-engine", "rpc-max", "queue",
    "queue-blocksize", "sharedarea", "enable-metrics", "metric", "metric-alarm", "metric-threshold",
    "alarm", "alarm-list", "log-alarm", "alarm-log", "not-log-alarm", "not-alarm-log",
    "log-encoder", "worker-log-encoder", "log-req-encoder", "worker-log-req-encoder",
    "log-format", "exception-handler", "check-cache", "static-cache-paths",
    "static-cache-paths-name", "mule", "mules", "farm", "cache", "cache-blocksize", "cache2",
    "symcall", "chmod-socket", "umask", "stats-push", "stats-pusher",
})  # fmt: skip
# In a cache these parts name files and other machines.
_OUTSIDE_PARTS = frozenset({
    "store", "node", "nodes", "sync", "udp", "udp_servers", "udp_server", "udpservers", "udpserver",
})  # fmt: skip
# The semaphores of this engine outlive a uWSGI that ends in a hook.
_LEFT_IN_THE_KERNEL = "ipcsem"
# Kinds of alarms and metrics that act when they are set up.
_ACTING = ("xmpp:", "curl:", "udp:", "file=", "fd=", "/")
# A function that uWSGI calls. It looks the name up for `symcall` without calling it.
_CALLS = frozenset({
    "call-asap", "call-pre-jail", "call-post-jail", "call-in-jail", "call-as-root", "call-as-user",
    "call-pre-app", "after-request-call", "after-request-hook",
})  # fmt: skip
_CALL = re.compile(r"!?call(?:ret|int|intret)?:(?P<name>\S+)")
# The cure of a cause that names no option.
_UNNAMED = "correct the option that asks for this"
# Each of these is left out once, to find the option that a complaint is about.
_MOST_SUSPECTS = 12


async def refused_at_start(
    ini: Ini, plugins: Plugins, resolver: Resolver, identity: Identity | None
) -> Iterator[Finding]:
    """An error for an option that uWSGI refuses when it sets the option up, as `identity`. The ini
    is resolved."""
    options = [tried for option in ini.options if (tried := _tried(option)) is not None]
    if not options:
        return iter(())
    try:
        failure = await _failure(options, plugins, resolver, identity)
        if not failure:
            return iter(())
        line, blamed = 0, ""
        # The last ones first: they depend on others, as a farm on its mules.
        for suspect in options[: -_MOST_SUSPECTS - 1 : -1]:
            others = [option for option in options if option is not suspect]
            if await _failure(others, plugins, resolver, identity) != failure:
                line, blamed = suspect.line, suspect.key
                break
    except CannotResolve:
        return iter(())
    text, _, cure = failure.partition("; ")
    if blamed and cure == _UNNAMED:
        cure = f"correct {blamed}"
    return iter((Finding(line, Severity.ERROR, f"{text}, so the app does not start", cure),))


async def _failure(
    options: Sequence[Option], plugins: Plugins, resolver: Resolver, identity: Identity | None
) -> str:
    """Why uWSGI does not start with these options; empty where it does. Raises CannotResolve."""
    arguments = [f"--set={option.key}={option.value}" for option in options]
    ended, printed = await resolver.rehearse(arguments, plugins, identity)
    # Without a socket there are no workers.
    said = printed.replace(NO_WORKERS, "")
    return "" if ended.code == 0 else explain_exit(ended, said, Circumstances())


def _tried(option: Option) -> Option | None:
    """What uWSGI gets of an option; None for an option that has effects outside."""
    if option.key in _CALLS or option.key.startswith("hook-"):
        return _called(option)
    if EXPRESSIONS.fullmatch(option.key):
        pattern = option.value.partition(" ")[0]
        return (
            None if _is_read(pattern) else structs.replace(option, key="log-filter", value=pattern)
        )
    is_left = option.key == "lock-engine" and option.value == _LEFT_IN_THE_KERNEL
    if option.key not in _INSIDE or is_left or _is_read(option.value):
        return None
    if option.key == "cache2":
        parts = option.value.split(",")
        kept = [part for part in parts if part.partition("=")[0] not in _OUTSIDE_PARTS]
        return structs.replace(option, value=",".join(kept))
    if option.key != "mule" and any(sign in option.value for sign in _ACTING):
        return None
    return option


def _is_read(value: str) -> bool:
    """Whether uWSGI reads what the value names. It leaves a variable without a value as it is."""
    return value.startswith(URLS) or "@(" in value


def _called(option: Option) -> Option | None:
    """What has uWSGI look up the function that it would call; None if it calls none."""
    name = option.value.partition(" ")[0]
    if option.key not in _CALLS:
        match = _CALL.match(option.value)
        name = match["name"] if match else ""
    return structs.replace(option, key="symcall", value=name) if name else None
