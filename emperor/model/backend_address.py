"""Which texts name a backend in a load balancer's list: those that lua/fleet/backends.lua takes."""

import ipaddress
import re
from collections.abc import Collection

_ENTRY = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:]+)\])(?::([0-9]{1,9}))?", re.ASCII)
_LONGEST = 64
# The unspecified address: Linux connects to the machine itself. IPv6 can write that of IPv4 too.
_ITSELF = (
    ipaddress.ip_address("0.0.0.0"),
    ipaddress.ip_address("::"),
    ipaddress.ip_address("::ffff:0:0"),
)


def has_port(entry: str) -> bool:
    """Whether an address that has no problem ends with a port."""
    return not entry.endswith("]") and ":" in entry.rpartition("]")[2]


def address_problem(entry: str) -> str | None:
    """Why `entry` is no backend, as the end of a sentence about it."""
    match = _ENTRY.fullmatch(entry) if len(entry) <= _LONGEST else None
    if match is None:
        return "is neither an IPv4 address nor an IPv6 address in brackets"
    try:
        address = ipaddress.ip_address(match[1] or match[2])
    except ValueError:
        return "is neither an IPv4 address nor an IPv6 address in brackets"
    if match[3] and not 1 <= int(match[3]) <= 65535:
        return "has no port from 1 to 65535 after its address"
    if address in _ITSELF:
        return "stands for the machine itself"
    return None


def canonical(entry: str) -> str:
    """A form that all spellings of a backend share. `entry` has no problem."""
    address, port = _parts(entry)
    return f"{address} {port or 'default'}"


def is_loopback(entry: str) -> bool:
    """Whether it leads each balancer to its own machine. `entry` has no problem."""
    return _parts(entry)[0].is_loopback


def _parts(entry: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """The address, as IPv4 where IPv6 writes one, and the port, 0 for none."""
    match = _ENTRY.fullmatch(entry)
    assert match is not None
    address = ipaddress.ip_address(match[1] or match[2])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address, int(match[3] or 0)


def list_problem(entries: Collection[str]) -> str | None:
    """What is wrong with these backends together, each named once."""
    spelling: dict[str, str] = {}
    for entry in entries:
        if problem := address_problem(entry):
            return f"{entry[:_LONGEST]!r} {problem}"
        same = spelling.setdefault(canonical(entry), entry)
        if same != entry:
            return f"{same} and {entry} are the same backend in two spellings"
    with_port = [entry for entry in entries if has_port(entry)]
    if with_port and len(with_port) < len(entries):
        other = next(entry for entry in entries if not has_port(entry))
        return f"{with_port[0]} has a port and {other} has none; either all have one or none"
    return None
