"""Decides what an ini asks of the daemon: its socket, its clock, its way of reloading.

The settings are for all vassals, and [emperor] overrides them for one. Where uWSGI itself has the
last word, as of `idle`, its own option wins.
"""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from emperor.model.definition import BrokenIni, FileOwner
from emperor.model.domain import is_domain
from emperor.model.settings import KEYS, Settings
from emperor.model.spec import SOCKET_PATH_BYTES, Reload, Spec
from emperor.uwsgi.identity import Accounts, has_the_last_word, identity_of
from emperor.uwsgi.ini import SOCKETS, Ini, Option
from emperor.uwsgi.options import PROTOCOLS, SSL_SOCKETS, Adoption, UwsgiOptions

# What [emperor] may say for one vassal, as the settings say it for all.
_OVERRIDES = {
    key.name: key
    for key in KEYS
    if key.name in {
        "activation", "backlog", "idle", "need-app", "on-change", "start-timeout", "stop-timeout",
    }
}  # fmt: skip
_TIMEOUTS = frozenset({"start-timeout", "stop-timeout"})
EMPEROR_KEYS = frozenset(_OVERRIDES) | {"uid", "gid", "aliases"}

# These walk over all sockets and trip over the ini's own, which has no descriptor when the
# listener came as fd:// (measured: gevent's workers respawn for ever).
_NEEDS_NAME = frozenset({
    "gevent", "asyncio", "tornado", "loop", "worker-exec", "worker-exec2", "map-socket",
    "python-worker-override",
})  # fmt: skip

# What would run twice, or cannot run twice, while a successor boots beside the old process.
BESIDES = frozenset({
    "mule", "mules", "farm", "spooler", "spooler-external",
    "cron", "cron2", "unique-cron", "legion-cron", "cron-legion", "unique-legion-cron",
    "unique-cron-legion",
    "attach-daemon", "attach-daemon2", "attach-control-daemon", "smart-attach-daemon",
    "smart-attach-daemon2", "legion-attach-daemon", "legion-smart-attach-daemon",
    "legion-smart-attach-daemon2",
})  # fmt: skip
ROUTERS = frozenset({
    "http", "httprouter", "https", "https2", "http-to-https", "fastrouter", "rawrouter",
    "sslrouter", "sslrouter2",
})  # fmt: skip
_SINGLE = BESIDES | ROUTERS | {
    "udp", "shared-socket", "undeferred-shared-socket", "zerg-server", "flock", "flock2",
}  # fmt: skip
# Bound anew at a unix path, but only once at a port.
_STATS = ("stats", "stats-server")

# What loads an app before the workers run (plugins/python's init_apps, core's mountpoints), so
# that `need-app` can tell whether it worked.
APPS = frozenset({
    "file", "wsgi-file", "module", "wsgi", "eval", "mount", "worker-mount", "paste", "ini-paste",
    "ini-paste-logged", "pecan", "web3", "pump", "wsgi-lite", "psgi", "rack", "rails",
})  # fmt: skip

_ATOI = re.compile(r"\s*([+-]?\d{1,18})", re.ASCII)


def spec_of(
    domain: str, ini: Ini, settings: Settings, owner: FileOwner, accounts: Accounts
) -> Spec:
    """What the daemon needs to know to serve `domain` by `ini`, whose cleverness uWSGI resolved.

    Raises BrokenIni for a bad value in [emperor], for what the owner of the ini may not ask for,
    and for sockets that cannot be bound.
    """
    written = {option.key: option for option in ini.options}  # uWSGI's last word of each key
    settings = _overridden(settings, ini, may_take_time=has_the_last_word(owner, accounts))
    socket = _socket(domain, ini, settings)
    single = bool(socket.foreign) or _cannot_run_twice(written)
    idle = whole(written["idle"]) if "idle" in written else settings.idle
    return Spec(
        domain=domain,
        ini=ini.name,
        socket=socket.path,
        runtime=UwsgiOptions(
            socket_option=socket.option,
            names_socket=socket.named,
            adoption=_adoption(ini, socket, written.keys() & _NEEDS_NAME),
            need_app=_needs_app(settings, written.keys()),
        ),
        protocol=PROTOCOLS[socket.option],
        activation=settings.activation,
        on_change=(
            OnChange.RESTART if single and not ini.attribute("on-change") else settings.on_change
        ),
        idle=idle,
        start_timeout=settings.start_timeout,
        stop_timeout=settings.stop_timeout,
        backlog=_backlog(ini, settings, written.get("listen")),
        identity=identity_of(ini, owner, accounts),
        aliases=_aliases(domain, ini, settings, owner, accounts) if ini.emperor else (),
        foreign_sockets=socket.foreign,
    )


def _needs_app(settings: Settings, keys: Collection[str]) -> bool:
    return settings.need_app and "need-app" not in keys and not APPS.isdisjoint(keys)


def _cannot_run_twice(written: Mapping[str, Option]) -> bool:
    return not _SINGLE.isdisjoint(written) or any(
        ":" in written[key].value for key in _STATS if key in written
    )


def whole(option: Option) -> int:
    """A number as uWSGI's atoi reads it: leading digits, else 0. Raises BrokenIni where uWSGI
    would refuse to start."""
    match = _ATOI.match(option.value)
    value = int(match[1]) if match else 0
    if not 0 <= value < 2**31:
        raise option.broken(f"{option.key} = {option.value} is out of range", "use 0 or more")
    return value


def _overridden(settings: Settings, ini: Ini, may_take_time: bool) -> Settings:
    """The settings for one vassal. A tenant's own ini can shorten timeouts and not lengthen them:
    a stop of the machine waits for all of them, and a boot holds its visitors."""
    values: dict[str, Any] = {}
    for option in ini.emperor:
        if (key := _OVERRIDES.get(option.key)) is None:
            continue
        try:
            values[key.field] = key.parse(option.value)
        except ValueError as error:
            cause = f"cannot use {option.key} = {option.value!r} in [emperor]: {error}"
            raise option.broken(cause, "") from error
        if key.name in _TIMEOUTS and not may_take_time:
            values[key.field] = min(values[key.field], getattr(settings, key.field))
    return replace(settings, **values) if values else settings


def _backlog(ini: Ini, settings: Settings, listen: Option | None) -> int:
    if listen is None or ini.attribute("backlog"):
        return settings.backlog
    return max(1, whole(listen))


# The socket.


@dataclass(frozen=True, slots=True)
class _Socket:
    """The path to bind, whether the ini names it and by which option, and what else the ini has
    uWSGI bind."""

    path: str
    option: str
    named: bool
    foreign: tuple[str, ...]


def _socket(domain: str, ini: Ini, settings: Settings) -> _Socket:
    root = os.path.normpath(settings.sockets_dir)
    own = f"{root}/{domain}/socket"
    mine: Option | None = None
    foreign: list[str] = []
    for option in ini.options:
        if option.key not in SOCKETS:
            continue
        place = place_of(option, str(settings.vassals_dir))
        if place == own:
            mine = mine or option
        elif place is not None:
            _refuse_neighbours(domain, option, place.removeprefix(f"{root}/"))
            foreign.append(place)
    path = own if mine is None else path_of(mine)
    _refuse_paths(mine, path)
    key = "socket" if mine is None else mine.key
    return _Socket(path, key, mine is not None, tuple(foreign))


def path_of(option: Option) -> str:
    """The address in a socket option, as it is spelled: an SSL socket names its keys behind it."""
    return option.value.split(",", 1)[0] if option.key in SSL_SOCKETS else option.value


def place_of(option: Option, folder: str) -> str | None:
    """Where a socket option has uWSGI bind, in a form that is the same for the same place.

    None where nobody else could want it: a port that the kernel chooses, or a descriptor. uWSGI
    is started in `folder`.
    """
    path = path_of(option)
    if path.startswith(("fd://", "=")):
        return None
    if path.startswith(("@", "\\0")):
        return "@" + path.removeprefix("@").removeprefix("\\0")
    host, colon, port = path.rpartition(":")
    if colon:
        return None if port == "" or port[0] == "0" else f"{host or '0.0.0.0'}:{port}"
    return os.path.normpath(os.path.join(folder, path))


def _refuse_neighbours(domain: str, option: Option, beneath: str) -> None:
    """`beneath` is the path below our folder of sockets, or an absolute path elsewhere."""
    other = beneath.split("/", 1)[0]
    if not beneath.startswith(("/", "@")) and ":" not in beneath and other != domain:
        raise option.broken(
            f"{option.key} = {option.value} claims the socket of {other}",
            f"name that of {domain}, or none",
        )


def _refuse_paths(named: Option | None, path: str) -> None:
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_BYTES:
        raise BrokenIni(
            f"the path of its socket, {path}, has {length} bytes and the kernel takes"
            f" {SOCKET_PATH_BYTES}",
            "choose a shorter name, or a shorter folder of sockets",
        )
    if named is not None and not path.startswith("/"):
        raise named.broken(f"{named.key} = {path} is relative", "write the path from / on")
    if named is not None and ".." in path.split("/"):
        # The kernel follows links before it takes `..`, so this could lead to another place.
        raise named.broken(f"{named.key} = {path} has a `..`", "write the path without")


def _adoption(ini: Ini, socket: _Socket, needs_name: set[str]) -> Adoption:
    """By name only where the ini's own entry is there to be given the listener."""
    if socket.named and (needs_name or ini.quotes_socket or socket.option in SSL_SOCKETS):
        return Adoption.BY_NAME
    return Adoption.BY_FD


def _aliases(
    domain: str, ini: Ini, settings: Settings, owner: FileOwner, accounts: Accounts
) -> tuple[str, ...]:
    option = ini.attribute("aliases")
    if option is None:
        return ()
    if not has_the_last_word(owner, accounts):
        raise option.broken(
            "aliases may stand in an ini of root's alone, since they could take a neighbour's name",
            "drop them, or have root own the ini",
        )
    aliases = tuple(dict.fromkeys(option.value.replace(",", " ").split()))
    for alias in aliases:
        if not is_domain(alias) or alias == domain:
            cause = f"cannot use the alias {alias!r}: "
            cause += "it is the ini's own name" if alias == domain else "it is no host name"
            raise option.broken(cause, "drop it")
        _refuse_paths(None, f"{os.path.normpath(settings.sockets)}/{alias}/socket")
    return aliases
