"""Decides what an ini asks of the daemon: its socket, its timeouts, its way of reloading.

The settings are for all vassals, and [emperor] overrides them for one. Where uWSGI itself acts on
an option, as on `idle`, the option in [uwsgi] wins.
"""

import os
from collections.abc import Callable, Mapping

from emperor.model.definition import Definition
from emperor.model.domain import is_domain
from emperor.model.limits import BY_NAME
from emperor.model.setting_values import boolean
from emperor.model.settings import Settings
from emperor.model.spec import OnChange, Spec
from emperor.uwsgi.command import BEHIND_INI
from emperor.uwsgi.emperor_section import OVERRIDES, overridden, own_limits
from emperor.uwsgi.identity import (
    Accounts,
    identity_of,
    is_administrator,
    refuse_dropped,
)
from emperor.uwsgi.ini import (
    ONE_PER_CORE,
    SHARED_SOCKETS,
    STATS,
    WORKERS,
    Ini,
    Option,
    is_computed,
    is_off,
    leading_number,
    split_names,
    with_declared,
)
from emperor.uwsgi.loops import GREENLETS, async_in_threads, is_gevent
from emperor.uwsgi.numbers import whole_number
from emperor.uwsgi.once import HELPERS, once_of
from emperor.uwsgi.options import PACKET_BYTES
from emperor.uwsgi.pythons import binary_of
from emperor.uwsgi.rules_by_name import RulesByName
from emperor.uwsgi.runtime_options import runtime_options
from emperor.uwsgi.sockets import refuse_path, socket_of
from emperor.uwsgi.users import drops_to_of, users_of

EMPEROR_KEYS = frozenset(OVERRIDES) | BY_NAME.keys() | {
    "allow-root", "always", "once", "uid", "gid", "aliases", "python", "python-home",
    "uwsgi-binary",
}  # fmt: skip

ROUTERS = frozenset({
    "http", "httprouter", "https", "https2", "http-to-https", "fastrouter", "rawrouter",
    "sslrouter", "sslrouter2",
})  # fmt: skip
_SINGLE = HELPERS | ROUTERS | SHARED_SOCKETS | {"udp", "zerg-server", "flock", "flock2"}
# With these uWSGI binds the paths of its master again before it knows that the app can be loaded.
_LAZY = frozenset({"lazy", "lazy-apps"})
_OF_MASTER = STATS | {"master-fifo"}
_MAY_BE_SINGLE = _SINGLE | _OF_MASTER

# uwsgi_mount_loader of plugins/python/pyloader.c takes what else is mounted for modules.
MOUNTED_FILES = (".py", ".wsgi")


def spec_of(definition: Definition, ini: Ini, settings: Settings, accounts: Accounts) -> Spec:
    """What the daemon needs to know to serve a definition by `ini`, which needs uWSGI no more.

    Raises BrokenIni for a bad value in [emperor], for what the owner of the ini may not ask for,
    for sockets that cannot be bound, and where no worker would accept requests.
    """
    domain, owner = definition.domain, definition.owner
    last = ini.last
    is_trusted = is_administrator(owner, accounts)
    settings = overridden(settings, ini, is_roots=is_trusted)
    for refuse in _REFUSALS.about(ini):
        refuse(ini)
    socket = socket_of(domain, ini, settings, last)
    single = len(socket.inherited) < len(socket.foreign) or cannot_run_twice(last) is not None
    identity = identity_of(ini, owner, accounts, settings)
    starts_as = identity or accounts.daemon
    drops_to = drops_to_of(ini, starts_as, accounts)
    if drops_to:
        refuse_dropped(users_of(ini, starts_as, accounts).serve, ini, accounts, settings)
    idle = _idle(ini, settings, last.get("idle"))
    binary = binary_of(ini, settings, owner, accounts)
    return Spec(
        domain=domain,
        ini=ini.name,
        socket=socket.path,
        runtime=runtime_options(ini, settings, socket, idle, binary),
        protocol=socket.protocol,
        activation=settings.activation,
        on_change=(
            OnChange.RESTART if single and not ini.attribute("on-change") else settings.on_change
        ),
        repeat=settings.repeat,
        idle=idle,
        start_timeout=settings.start_timeout,
        stop_timeout=settings.stop_timeout,
        backlog=_backlog(ini, settings, last.get("listen")),
        identity=identity,
        aliases=_aliases(definition, ini, settings, is_trusted=is_trusted) if ini.emperor else (),
        foreign_sockets=socket.foreign,
        inherited=socket.inherited,
        head_bytes=_head_bytes(last.get("buffer-size")),
        drops_to=drops_to,
        no_new_privs=settings.no_new_privs,
        once=once_of(ini, last),
        limits=own_limits(ini, is_trusted) if ini.emperor else None,
    )


def _idle(ini: Ini, settings: Settings, of_uwsgi: Option | None) -> int:
    """After how many seconds without a request the app sleeps; 0: never. `of_uwsgi` is uWSGI's own
    option. Raises BrokenIni if `always` says the opposite of `idle`."""
    idle = settings.idle if of_uwsgi is None else whole_number(of_uwsgi)
    always = ini.attribute("always")
    if always is None:
        return idle
    try:
        runs_always = boolean(always.value)
    except ValueError as error:
        raise always.broken(
            f"cannot use always = {always.value!r} in [emperor]: {error}", ""
        ) from error
    # What another file says for many inis, `vassal-defaults` for instance, is no contradiction.
    own = of_uwsgi if of_uwsgi and of_uwsgi.line else ini.attribute("idle")
    if own is None:
        if not runs_always and not idle:
            cause = f"always = {always.value} contradicts idle = 0 of the settings"
            raise always.broken(cause, "write how long it may be idle, as idle = 26h")
        return 0 if runs_always else idle
    if runs_always != (idle == 0):
        cause = f"always = {always.value} contradicts idle = {own.value} in line {own.line}"
        raise always.broken(cause, "drop one of the two")
    return idle


def _head_bytes(size: Option | None) -> int:
    """What uWSGI makes of buffer-size: the leading digits, as an unsigned number, up to a limit."""
    number = leading_number(size.value) if size else PACKET_BYTES
    return number if 0 <= number < PACKET_BYTES else PACKET_BYTES


def _refuse_forbidden_options(ini: Ini) -> None:
    """Raise BrokenIni if the ini keeps uWSGI from taking the options that emperord gives it."""
    for name in ("whitelist", "blacklist"):
        option = ini.last_of({name, f"end-{name}"})
        if option is None or option.key != name:
            continue
        allowed = BEHIND_INI & set(option.value.split())
        if BEHIND_INI - allowed if name == "whitelist" else allowed:
            raise option.broken(
                f"{name} = {option.value} also forbids options that emperord gives uWSGI",
                f"drop it, or write end-{name} = true at the end, which a whitelist must allow",
            )


def _refuse_no_workers(ini: Ini) -> None:
    """Raise BrokenIni if no worker would accept requests. The emperor pipe tells nothing of that:
    uWSGI says that the app is loaded, and waits for orders, or for workers that die."""
    workers = ini.last_of(WORKERS) if "declare-option" not in ini.last else _declared_workers(ini)
    if workers and not workers.value.startswith(ONE_PER_CORE) and _is_zero(workers):
        raise workers.broken(
            f"{_nothing(workers)}, so no worker accepts requests",
            f"write a number, or {workers.key} = {ONE_PER_CORE} for one worker per core",
        )


def _refuse_one_process(ini: Ini) -> None:
    limit = ini.last.get("limit-nproc")
    if limit and leading_number(limit.value) == 1:
        raise limit.broken("limit-nproc = 1 leaves the master without a worker", "raise it")


def _refuse_async_in_threads(ini: Ini) -> None:
    if switching := async_in_threads(ini.last):
        cause = "uWSGI's loop for async does not run in threads, so no request has an answer"
        raise switching.broken(cause, "drop async or threads")


def _refuse_no_greenlets(ini: Ini) -> None:
    """Raise BrokenIni if a worker could handle no request. The loop of gevent needs `async` of 2 or
    more, which `gevent` sets too (plugins/gevent)."""
    if not is_gevent(ini.last):
        return
    gevent = ini.last["gevent" if "gevent" in ini.last else "loop"]
    greenlets = ini.last_of(GREENLETS) or gevent
    cure = "write the number of requests that each one may handle at once, as gevent = 100"
    if greenlets is gevent and gevent.key == "loop":
        cause = "loop = gevent alone handles one request at once, which its loop refuses"
    elif is_computed(greenlets) or whole_number(greenlets) > 1:
        return
    elif whole_number(greenlets) == 1:
        cause = f"{greenlets.key} = 1 is too few for the loop of gevent"
    else:
        cause = _nothing(greenlets)
    raise greenlets.broken(f"{cause}, so no worker can handle a request", cure)


def _is_zero(option: Option) -> bool:
    return not is_computed(option) and whole_number(option) == 0


def _declared_workers(ini: Ini) -> Option | None:
    """The last option with the number of workers, in the ini or in an option that it declares."""
    workers = [option for option in with_declared(ini) if option.key in WORKERS]
    return workers[-1] if workers else None


def _nothing(option: Option) -> str:
    """Why the number of that option is 0."""
    if option.value == "":
        return f"{option.key} is empty"
    # uWSGI leaves these as they are where nothing is set.
    if option.value[:2] in ("$(", "%("):
        return f"{option.key} = {option.value} has no value, since that variable is not set"
    return f"{option.key} = {option.value} counts as 0"


# All that an ini may be refused for by options alone.
_REFUSALS: RulesByName[Callable[[Ini], None]] = RulesByName({
    _refuse_forbidden_options: {"whitelist", "blacklist"},
    _refuse_no_workers: WORKERS | {"declare-option"},
    _refuse_one_process: {"limit-nproc"},
    _refuse_async_in_threads: {"async"},
    _refuse_no_greenlets: {"gevent", "loop"},
})  # fmt: skip


def cannot_run_twice(last: Mapping[str, Option]) -> Option | None:
    """The first option that keeps a second process of the app from booting beside the first. `last`
    has the last option of each key."""
    if _MAY_BE_SINGLE.isdisjoint(last):
        return None
    single = [last[key] for key in last.keys() & _SINGLE]
    # uWSGI binds a unix path anew, but a port can be bound only once.
    single += [last[key] for key in STATS & last.keys() if ":" in last[key].value]
    if any(not is_off(last[key].value) for key in _LAZY & last.keys()):
        single += [last[key] for key in _OF_MASTER & last.keys()]
    return min(single, key=lambda option: option.line, default=None)


def _backlog(ini: Ini, settings: Settings, listen: Option | None) -> int:
    if listen is None or ini.attribute("backlog"):
        return settings.backlog
    return max(1, whole_number(listen))


def _aliases(
    definition: Definition, ini: Ini, settings: Settings, *, is_trusted: bool
) -> tuple[str, ...]:
    option = ini.attribute("aliases")
    if option is None:
        return ()
    aliases = tuple(split_names(option.value))
    if not (is_trusted or definition.granted.issuperset(aliases)):
        raise option.broken(
            "aliases may stand in an ini of root's alone, since they could take a neighbour's name",
            "drop them, or have root own the ini",
        )
    for alias in aliases:
        if not is_domain(alias) or alias == definition.domain:
            cause = f"cannot use the alias {alias!r}: "
            cause += (
                "it is the ini's own name" if alias == definition.domain else "it is no host name"
            )
            raise option.broken(cause, "drop it")
        refuse_path(None, f"{os.path.normpath(settings.sockets_dir)}/{alias}/socket")
    return aliases
