"""What a load balancer's agent tells in the registry of itself: which table its nginx has."""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from emperor.model.json_value import from_json
from emperor.model.slot_table import MOST_SERIAL

_LONGEST_VALUE_BYTES = 4096
_LONGEST_PROBLEM = 1000


class BrokenState(Exception):
    """What the registry holds for a balancer cannot be used."""


@dataclass(frozen=True, slots=True)
class BalancerState:
    """What a balancer tells of itself. `serial` is that of the table in use, 0 if there is none.
    `problem` is why a newer one is not taken, empty if there is none."""

    name: str
    serial: int
    problem: str
    version: str


class _Wire(msgspec.Struct, omit_defaults=True):
    """The value of a key: readable with etcdctl. Later versions may say more."""

    serial: Annotated[int, msgspec.Meta(ge=0, le=MOST_SERIAL)]
    version: str
    problem: str = ""


def encoded(state: BalancerState) -> bytes:
    """The value of the key of that balancer."""
    return msgspec.json.encode(_Wire(state.serial, state.version, state.problem[:_LONGEST_PROBLEM]))


def decoded(name: str, value: bytes) -> BalancerState:
    """What the registry has for the balancer of that name. Raises BrokenState."""
    try:
        if len(value) > _LONGEST_VALUE_BYTES:
            raise BrokenState(f"it has {len(value)} bytes")
        wire = from_json(value, _Wire)
    except ValueError as error:
        raise BrokenState(f"it is none of this version of emperord: {error}") from error
    return BalancerState(name, wire.serial, wire.problem, wire.version)
