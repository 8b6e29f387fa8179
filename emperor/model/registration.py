"""What the registry of a fleet keeps for each host name, and its form as bytes.

Whoever may write to the registry could otherwise name any user of any backend as the owner of an
ini. So an entry is checked like an ini of the folder, and may have to be signed (`Sealed`). A
backend never goes back to a lower serial: neither an old backup of the registry nor an old entry
that somebody writes again undoes a change. A serial has a limit that rises with time, so there is
always a higher one: nobody can put an entry that no other can follow.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from emperor.model.definition import LONGEST_DEFINITION
from emperor.model.domain import LONGEST_DOMAIN, is_domain
from emperor.model.json_value import from_json

# Keys of the registry name one of so many buckets, which is the slot of the stock hash in a list of
# as many slots. So a backend that has its share of the slots watches few buckets.
BUCKETS = 4096
# JSON may need 6 bytes for one of the text. etcd takes 1.5 MiB in a request.
_LONGEST_VALUE_BYTES = 1 << 20
_CONTEXT = "emperord registry 1"
# Clocks of machines may run apart by less than this.
_CLOCKS_SECONDS = 86_400
# Whatever the clock says.
_HIGHEST_SERIAL = 2**53


class BrokenEntry(Exception):
    """What the registry holds for a name cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class RegisteredIni:
    """The ini of a domain, and the user on each backend to whom its file shall belong. Each change
    of what the registry has for the domain adds 1 to `serial`, which begins at 1."""

    domain: str
    serial: int
    owner: str
    ini: str


@dataclass(frozen=True, slots=True)
class RegisteredAlias:
    """A host name that the ini of another domain names as an alias."""

    domain: str
    serial: int
    alias_of: str


@dataclass(frozen=True, slots=True)
class RegisteredRemoval:
    """The domain was taken out on purpose. That a key is missing says nothing: the registry may
    have been restored from an old backup."""

    domain: str
    serial: int


Entry = RegisteredIni | RegisteredAlias | RegisteredRemoval


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry with the signature of `signed_text`, made with the key that `signer` names; both are
    empty if it is not signed."""

    entry: Entry
    signer: str = ""
    signature: bytes = b""


class _Wire(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The value of a key: readable with etcdctl."""

    serial: int
    kind: Literal["ini", "alias", "removed"] = "ini"
    owner: str = ""
    alias_of: str = ""
    signer: str = ""
    signature: bytes = b""
    ini: str = ""


def bucket_of(host: str) -> int:
    """The bucket of a host name, from 0 on: its slot among BUCKETS slots."""
    return slot_of(host, BUCKETS)


def slot_of(host: str, count: int) -> int:
    """The slot of a host name among so many, from 0 on, by the stock hash
    (lua/get_backend_ip.lua). It may be a text that anybody has written into the registry."""
    value = 5381
    for byte in host.lower().encode(errors="surrogateescape"):
        value = (value * 33 % 2**32) + byte
    return value % count


def signed_text(entry: Entry) -> bytes:
    """The bytes that a signature of the entry covers. No part but the last one can hold a NUL."""
    match entry:
        case RegisteredIni():
            parts = ["ini", entry.owner, entry.ini]
        case RegisteredAlias():
            parts = ["alias", entry.alias_of]
        case RegisteredRemoval():
            parts = ["removed"]
    return "\0".join([_CONTEXT, entry.domain, str(entry.serial), *parts]).encode()


def encoded(sealed: Sealed) -> bytes:
    """The value of the key of that entry. Raises BrokenEntry if a backend would not take it."""
    wire = _Wire(sealed.entry.serial, signer=sealed.signer, signature=sealed.signature)
    match sealed.entry:
        case RegisteredIni(owner=owner, ini=ini):
            wire.owner, wire.ini = owner, ini
        case RegisteredAlias(alias_of=alias_of):
            wire.kind, wire.alias_of = "alias", alias_of
        case RegisteredRemoval():
            wire.kind = "removed"
    value = msgspec.json.encode(wire)
    decoded(sealed.entry.domain, value)
    return value


def decoded(domain: str, value: bytes) -> Sealed:
    """What the registry has for that domain. Raises BrokenEntry."""
    if not is_domain(domain):
        raise BrokenEntry(f"{domain[: LONGEST_DOMAIN + 1]!r} is not a host name")
    if len(value) > _LONGEST_VALUE_BYTES:
        raise BrokenEntry(f"it has {len(value)} bytes, and {_LONGEST_VALUE_BYTES} are allowed")
    try:
        wire = from_json(value, _Wire)
    except ValueError as error:
        raise BrokenEntry(f"it is not an entry of this version of emperord: {error}") from error
    if wire.serial < 1:
        raise BrokenEntry("its serial is below 1, where serials begin")
    if wire.serial > _HIGHEST_SERIAL:
        raise BrokenEntry(f"its serial is above {_HIGHEST_SERIAL}, the highest of all")
    return Sealed(_entry(domain, wire), wire.signer, wire.signature)


def refuse_serial_beyond(entry: Entry, now: float) -> None:
    """Raises BrokenEntry if its serial is above the time in seconds since 1970, which is `now`."""
    highest = int(now) + _CLOCKS_SECONDS
    if entry.serial > highest:
        raise BrokenEntry(
            f"its serial is {entry.serial}, and {highest} is the highest today (the seconds since"
            " 1970, and a day)"
        )


def _entry(domain: str, wire: _Wire) -> Entry:
    if wire.kind == "removed":
        return RegisteredRemoval(domain, wire.serial)
    if wire.kind == "alias":
        if not is_domain(wire.alias_of) or wire.alias_of == domain:
            raise BrokenEntry("it is an alias, and names no other domain")
        return RegisteredAlias(domain, wire.serial, wire.alias_of)
    if not wire.owner or "\0" in wire.owner:
        raise BrokenEntry("it names no owner")
    if len(wire.ini.encode()) > LONGEST_DEFINITION:
        raise BrokenEntry(f"its ini is longer than {LONGEST_DEFINITION} bytes")
    return RegisteredIni(domain, wire.serial, wire.owner, wire.ini)
