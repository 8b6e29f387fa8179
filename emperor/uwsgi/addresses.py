"""Which TCP and UDP addresses an ini has uWSGI bind, and whether two of them exclude each other."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from emperor.linux.network import Listening
from emperor.model.spec import Identity, Spec
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import SHARED_SOCKETS, SOCKETS, STATS, Ini, Option
from emperor.uwsgi.sockets import spelled_address
from emperor.uwsgi.spec import ROUTERS
from emperor.uwsgi.users import Users, name_of
from emperor.uwsgi.values import STARTING_HOOKS

# Less than the kernel takes.
_LONGEST_PATH_BYTES = 102
_MASTER_SOCKETS = frozenset({"zerg-server", "setns-socket", "emperor-proxy", "notify-socket"})
_ADDRESS = "addr="
_WAITING_HOOK = re.compile(r"!?wait_for_socket:(?P<address>\S+)")
_POOLS = frozenset({"zergpool", "zerg-pool"})
_BINDING = SOCKETS | ROUTERS | STATS | SHARED_SOCKETS | _POOLS
_LAST_PORT = 0xFFFF
_PORT = re.compile("[0-9]{1,9}")
_IP = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|\[[\da-fA-F:.]*\]")
_ANY = frozenset({"", "0.0.0.0", "*", "[::]"})
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port that option `key` in `line` binds. The host is "" for all hosts."""

    key: str
    line: int
    host: str
    port: int

    @property
    def text(self) -> str:
        """The address, as `host:port`."""
        return f"{self.host}:{self.port}"

    def excludes(self, other: "Address") -> bool:
        """Whether the kernel lets only one of the two be bound (bind(2))."""
        same_host = self.host == other.host or "" in (self.host, other.host)
        return self.port == other.port and same_host


def addresses(ini: Ini) -> Iterator[Address]:
    """The addresses with a port that stands in the ini. The kernel chooses port 0, and a `0` in
    front (core/socket.c)."""
    for option in ini.options:
        if option.key not in _BINDING:
            continue
        for address in _addresses(option):
            host, colon, port = address.rpartition(":")
            if colon and _PORT.fullmatch(port) and port[0] != "0" and "://" not in option.value:
                yield Address(option.key, option.line, "" if host in _ANY else host, int(port))


def _addresses(option: Option) -> list[str]:
    """The address of `address,certificate,key` or `cert=certificate,addr=address`, and those of
    `path:address,address` of a pool."""
    if option.key in _POOLS:
        return option.value.partition(":")[2].split(",")
    parts = option.value.split(",")
    named = (part.removeprefix(_ADDRESS) for part in parts if part.startswith(_ADDRESS))
    return [next(named, parts[0])]


class Network(Protocol):
    """The addresses of this machine, and who listens there."""

    def has_address(self, host: str) -> bool:
        """Whether an IPv4 address, or an IPv6 one in [], is one of this machine's."""

    def listener(self, host: str, port: int) -> Listening | None:
        """The process that listens at the port, of this host or of all if `host` is empty, or of
        another one that excludes it."""

    def is_listening(self, host: str, port: int) -> bool:
        """Whether any process listens at the port of that host, or of all hosts."""


def unusable_addresses(ini: Ini, network: Network) -> Iterator[Finding]:
    """An error for each address that this machine does not have, or where a process listens that is
    not uWSGI with this ini."""
    for address in addresses(ini):
        if address.port > _LAST_PORT:
            bound = address.port & _LAST_PORT
            text = f"there is no port {address.port}: uWSGI binds port {bound} in its place"
            cure = f"write a port up to {_LAST_PORT}, or drop {address.key}"
            yield Finding(address.line, Severity.WARNING, text, cure)
        elif _IP.fullmatch(address.host) and not network.has_address(address.host):
            text = f"this machine has no address {address.host}, so the app does not start"
            yield Finding(address.line, Severity.ERROR, text, f"correct {address.key}")
        elif (other := network.listener(address.host, address.port)) and not other.runs(ini.name):
            text = f"{other.name} (pid {other.pid}) listens at {address.text} already, so the app"
            cure = f"stop that, or change {address.key}"
            if address.key in SOCKETS:
                cure = f"drop {address.key}, as nginx talks to emperord's own socket"
            yield Finding(address.line, Severity.ERROR, f"{text} does not start", cure)


def awaited_ports(ini: Ini, network: Network) -> Iterator[Finding]:
    """An error for each port of this machine that uWSGI waits for and where nothing listens."""
    for option in ini.options:
        awaited = _awaited(option)
        host, colon, port = awaited.rpartition(":")
        if not colon or not _PORT.fullmatch(port):
            continue
        is_here = host in _ANY | _LOCAL or (_IP.fullmatch(host) and network.has_address(host))
        if is_here and not network.is_listening("" if host in _ANY else host, int(port)):
            text = f"nothing listens at {awaited}, so uWSGI waits for it and serves nothing"
            cure = f"start what listens there before the app, or drop {option.key}"
            yield Finding(option.line, Severity.ERROR, text, cure)


def _awaited(option: Option) -> str:
    """The address that uWSGI waits for; empty for another option."""
    if option.key == "wait-for-socket":
        return option.value
    match = _WAITING_HOOK.fullmatch(option.value) if option.key in STARTING_HOOKS else None
    return match["address"] if match else ""


def long_paths(ini: Ini, spec: Spec) -> Iterator[Finding]:
    """An error for each unix socket that uWSGI itself binds and takes for too long (bind_to_unix of
    core/socket.c)."""
    for option in ini.options:
        path = spelled_address(option)
        is_path = option.key in SOCKETS | STATS | _MASTER_SOCKETS and ":" not in path
        if is_path and path != spec.socket and len(os.fsencode(path)) > _LONGEST_PATH_BYTES:
            text = f"{path} has {len(os.fsencode(path))} bytes, and uWSGI takes"
            text += f" {_LONGEST_PATH_BYTES}, so the app does not start"
            cure = f"drop {option.key}" if option.key in SOCKETS else "choose a shorter path"
            yield Finding(option.line, Severity.ERROR, text, cure)


def closed_ports(ini: Ini, users: Users, first_open: int) -> Iterator[Finding]:
    """An error for each port below `first_open`, net.ipv4.ip_unprivileged_port_start, that uWSGI
    binds when it is not root any more."""
    for address in addresses(ini):
        if address.port < first_open and (user := _binder(address, users)).uid != ROOT:
            text = f"{name_of(user)} may not bind port {address.port}, so the app does not start"
            cure = f"drop {address.key} and let nginx listen there, or use a port from {first_open}"
            yield Finding(address.line, Severity.ERROR, text, cure)


def _binder(address: Address, users: Users) -> Identity:
    if address.key in SHARED_SOCKETS:
        return users.start
    return users.serve if address.key in STATS else users.bind
