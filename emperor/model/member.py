"""What the registry keeps of each backend that is up, and its form as bytes.

The key has a lease of the backend's daemon: it vanishes when the backend is gone. Whoever may write
it could name any address, so that balancers believe the table of slots alone (model/slot_table).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import msgspec

from emperor.model.backend_address import address_problem
from emperor.model.json_value import from_json
from emperor.model.weight import parse_weight, spelled_weight

_LONGEST_VALUE_BYTES = 4096


# Far above any that is meant; a float can hold it.
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**60)]


class BrokenMember(Exception):
    """What the registry holds for a backend cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The size of a machine: its cores, its memory in bytes, and how many apps are awake now."""

    cores: int
    memory: int
    awake: int


@dataclass(frozen=True, slots=True)
class Member:
    """A backend: its address as in the balancers' lists, what tells its machine from another one
    with the same address, and since when it is registered, in seconds since the epoch."""

    address: str
    machine: str
    weight: Fraction
    capacity: Capacity
    version: str
    since: int
    drains: bool = False


class _Wire(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=False):
    """The value of a key: readable with etcdctl. Later versions may say more of themselves."""

    machine: str
    weight: str
    cores: _Number
    memory: _Number
    awake: _Number
    version: str
    since: _Number
    drains: bool = False


def encoded(member: Member) -> bytes:
    """The value of the key of that backend."""
    size = member.capacity
    return msgspec.json.encode(
        _Wire(
            member.machine, spelled_weight(member.weight), size.cores, size.memory, size.awake,
            member.version, member.since, member.drains,
        )
    )  # fmt: skip


def decoded(address: str, value: bytes) -> Member:
    """What the registry has for the backend with this address. Raises BrokenMember."""
    if problem := address_problem(address):
        raise BrokenMember(f"{address[:64]!r} {problem}")
    if len(value) > _LONGEST_VALUE_BYTES:
        raise BrokenMember(f"it has {len(value)} bytes, and {_LONGEST_VALUE_BYTES} are allowed")
    try:
        wire = from_json(value, _Wire)
        weight = parse_weight(wire.weight)
    except ValueError as error:
        raise BrokenMember(f"it is no backend of this version of emperord: {error}") from error
    capacity = Capacity(wire.cores, wire.memory, wire.awake)
    return Member(
        address, wire.machine, weight, capacity, wire.version, wire.since, wire.drains
    )  # fmt: skip
