"""Decides at which path the daemon listens for an ini, what is spoken there, and which sockets
uWSGI binds besides.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from emperor.model.definition import BrokenIni
from emperor.model.settings import Settings
from emperor.model.spec import SOCKET_PATH_BYTES, Activation, InheritedSocket, WireProtocol
from emperor.uwsgi.ini import (
    PROTOCOL_KEYS,
    SHARED_SOCKETS,
    SOCKETS,
    Ini,
    Option,
    is_written,
    leading_number,
)
from emperor.uwsgi.options import PROTOCOL_NAMES, PROTOCOLS, SSL_SOCKETS, Adoption
from emperor.uwsgi.places import Places, places

# These use every socket that the ini names. Its own has no descriptor when the listener came as
# fd://, and they fail on it (measured: gevent's workers respawn for ever).
_NEEDS_NAME = frozenset({
    "gevent", "asyncio", "tornado", "loop", "worker-exec", "worker-exec2", "map-socket",
    "python-worker-override",
})  # fmt: skip
# The daemon compares each socket of an ini with all of its options, and answers nobody meanwhile:
# for 15 s where a tenant filled an ini with sockets (measured). Hardly any ini has more than three.
_MOST_SOCKETS = 64
# They are passed to uWSGI with four other descriptors (linux/spawn_thread).
MOST_INHERITED = 8
_NAMING = SOCKETS | SHARED_SOCKETS
# uWSGI reads `protocol` for this option alone.
_DEFAULT_PROTOCOL = "socket"


@dataclass(frozen=True, slots=True)
class Socket:
    """The socket of a vassal. `path` is what the daemon binds, and `option` gives it to uWSGI,
    which speaks `protocol` there. `is_named`: the ini itself has an option with that path.
    `foreign`: what else the ini has uWSGI bind, and `inherited` those of it that a successor can
    take over."""

    path: str
    option: str
    protocol: WireProtocol
    is_named: bool
    adoption: Adoption
    foreign: tuple[str, ...] = ()
    inherited: tuple[InheritedSocket, ...] = ()


def socket_of(domain: str, ini: Ini, settings: Settings, last: Mapping[str, Option]) -> Socket:
    """The sockets of an ini. `last` has the last option of each key.

    Raises BrokenIni for sockets that cannot be bound.
    """
    root = os.path.normpath(settings.sockets_dir)
    own_address = f"{root}/{domain}/socket"
    named = [option for option in ini.options if option.key in _NAMING]
    _refuse_too_many(named)
    own: Option | None = None
    foreign: list[tuple[str, Option]] = []
    for option in named:
        if option.value == own_address:  # as of thousands
            own = own or option
            continue
        where = places(last, str(settings.vassals_dir))
        if option.key in SHARED_SOCKETS:
            where = Places(where.start, where.start)
        address = normal_address(option, where)
        if address == own_address or os.path.normpath(spelled_address(option)) == own_address:
            own = own or option
        elif address is not None:
            _refuse_neighbours(domain, option, address.removeprefix(f"{root}/"))
            foreign.append((address, option))
    _refuse_unusable(own, named, ini)
    if own is None:
        refuse_path(None, own_address)
        uwsgi, by_fd = WireProtocol.UWSGI, Adoption.BY_FD
        socket = Socket(own_address, _DEFAULT_PROTOCOL, uwsgi, False, by_fd)
    else:
        refuse_path(own, spelled_address(own))
        socket = _named(own, ini, last, settings.activation)
    if not foreign:
        return socket
    return replace(
        socket,
        foreign=tuple(address for address, _ in foreign),
        inherited=tuple(_inherited(foreign, ini)),
    )


def _inherited(foreign: Sequence[tuple[str, Option]], ini: Ini) -> Iterator[InheritedSocket]:
    """The foreign sockets that a successor can take over. It reads a copy of the ini that has a
    descriptor in the place of the address. uWSGI knows no descriptor for a shared socket, and a
    value that refers to that of a socket would change too."""
    addresses = [address for address, _ in foreign]
    if ini.quotes_socket or len(set(addresses)) < len(addresses) or len(foreign) > MOST_INHERITED:
        return
    for address, option in foreign:
        if (
            option.key in SOCKETS
            and not option.value.startswith("=")
            and is_written(option, ini.text)
        ):
            yield InheritedSocket(address, option.value, option.line)


def _refuse_too_many(sockets: Sequence[Option]) -> None:
    if len(sockets) > _MOST_SOCKETS:
        raise sockets[_MOST_SOCKETS].broken(
            f"it has {len(sockets)} sockets, and emperord takes {_MOST_SOCKETS}", "drop the others"
        )


def _refuse_unusable(own: Option | None, named: Sequence[Option], ini: Ini) -> None:
    """Raise BrokenIni for a protocol or a shared socket that uWSGI would not find."""
    if own is not None and own.key in SHARED_SOCKETS:
        raise own.broken(
            f"{own.key} = {own.value} would replace the socket that emperord listens on",
            f"write socket = {own.value}",
        )
    for option in named:
        if option.key in SOCKETS:
            if option.value == "":
                raise option.broken(
                    f"{option.key} is empty", f"write an address, or drop {option.key}"
                )
            spoken(option, ini)
            if option.value.startswith("=") and shared_socket(option, ini) is None:
                raise option.broken(
                    f"{option.key} = {option.value} has no such shared-socket above it",
                    "add it above, or write the address here",
                )


def shared_socket(option: Option, ini: Ini) -> Option | None:
    """The shared socket that an option like `http-socket = =0` stands for. uWSGI counts from 0, and
    only those above the option."""
    above = ini.options[: ini.options.index(option)]
    shared = [each for each in above if each.key in SHARED_SOCKETS]
    number = leading_number(option.value[1:])
    return shared[number] if 0 <= number < len(shared) else None


def _named(
    own: Option,
    ini: Ini,
    last: Mapping[str, Option],
    activation: Activation,
) -> Socket:
    """The socket that the ini names itself. With `activation = socket` any front end may connect,
    so what the ini says is spoken there. Otherwise it is nginx, which speaks uwsgi."""
    path = spelled_address(own)
    asked = spoken(own, ini)
    needs_name = bool(_NEEDS_NAME & last.keys()) or ini.quotes_socket
    if asked in (WireProtocol.UWSGI, WireProtocol.RAW) or activation is Activation.SOCKET:
        by_name = needs_name or own.key in SSL_SOCKETS
        return Socket(path, own.key, asked, True, Adoption.BY_NAME if by_name else Adoption.BY_FD)
    if needs_name:
        raise own.broken(
            f"{own.key} = {path} speaks {asked.value} here, and nginx speaks uwsgi to that socket",
            f"write uwsgi-socket = {path}",
        )
    return Socket(path, own.key, WireProtocol.UWSGI, True, Adoption.BY_FD)


def spoken(option: Option, ini: Ini) -> WireProtocol:
    """What uWSGI speaks at the socket of this option. Raises BrokenIni for an unknown protocol."""
    if option.key != _DEFAULT_PROTOCOL:
        return PROTOCOLS[option.key]
    chosen = ini.last_of(PROTOCOL_KEYS)
    if chosen is None:
        return WireProtocol.UWSGI
    if chosen.value not in PROTOCOL_NAMES:
        raise chosen.broken(
            f"uWSGI has no protocol {chosen.value!r}",
            f"use one of {', '.join(PROTOCOL_NAMES)}, or drop {chosen.key}",
        )
    return PROTOCOL_NAMES[chosen.value]


def spelled_address(option: Option) -> str:
    """The address in a socket option, letter by letter. An SSL socket has its keys behind it."""
    return option.value.split(",", 1)[0] if option.key in SSL_SOCKETS else option.value


def normal_address(option: Option, where: Places) -> str | None:
    """The address in a socket option, in one spelling for all that lead to the same place.

    None where no other ini could claim it: a port that the kernel chooses, a descriptor, or a
    relative path in a folder that we do not know.
    """
    address = spelled_address(option)
    if address.startswith(("fd://", "=")):
        return None
    if address.startswith(("@", "\\0")):
        return "@" + address.removeprefix("@").removeprefix("\\0")
    host, colon, port = address.rpartition(":")
    if colon:
        return None if port == "" or port[0] == "0" else f"{host or '0.0.0.0'}:{port}"
    return where.bound(address)


def _refuse_neighbours(domain: str, option: Option, address: str) -> None:
    """Raise BrokenIni if the address is a path in the folder of another domain. `address` begins
    below our folder of sockets if it is there."""
    other = address.split("/", 1)[0]
    if not address.startswith(("/", "@")) and ":" not in address and other != domain:
        raise option.broken(
            f"{option.key} = {option.value} claims the socket of {other}",
            f"name that of {domain}, or none",
        )


def refuse_path(named: Option | None, path: str) -> None:
    """Raise BrokenIni if `path` cannot be bound. `named` is the option that it comes from."""
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
