"""Decides which machine of a fleet may run an app that must not run twice, and until when.

The registry has a key for each such app that runs. The key names the machine, and has a lease that
the machine renews. A machine that is cut off cannot know whether its lease has ended elsewhere: it
counts from the moment at which it sent the last renewal that was answered. The registry counts from
a later moment, so by its own clock the machine stops too early and never too late.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

import msgspec

from emperor.model.json_value import from_json

# How long another machine waits at most for the place of one that has vanished.
LEASE_SECONDS = 15
RENEW_SECONDS = 3.0
# After the last renewal: the app is told to stop, and what is left of it is killed. What is left of
# the lease then is for a kernel that is slow to kill, and for clocks of different speeds.
STOP_AFTER_SECONDS = 9.0
KILL_AFTER_SECONDS = 12.0
# An app of an earlier daemon lives, so its deadline has not passed yet; until its lease is renewed,
# this much more is within the lease for certain.
ADOPT_SECONDS = 2.5
# A machine to which visitors of an app come, while another one runs it, says so this often at most:
# first the other one has to find out that they come there and not to itself.
_REQUEST_SECONDS, _REQUEST_LATER_SECONDS = 1.0, 15.0
_SOON = 5
REQUEST_LEASE_SECONDS = 60
# Visitors come there, and not here, when that has been so for this time. More than it takes a load
# balancer to find that a backend is well again, which it has passed over for a moment.
_LASTING_SECONDS = 3.0
# So long an app that was given away is left to the other machine.
HANDOVER_SECONDS = 10
# Where visitors come to several machines by turns, an app does not go to and fro, nor around.
MIGRATED_SECONDS = 600
# Of an address, for people.
_LONGEST_ADDRESS = 255


@dataclass(frozen=True, slots=True)
class Holder:
    """A machine that may run an app: its address, for people, and what tells it from others."""

    address: str
    machine: str


UNKNOWN = Holder("an unknown machine", "")


@dataclass(frozen=True, slots=True)
class MigrationRequest:
    """Visitors of an app come to the machine with that address, and since then to no other."""

    address: str
    since: float


class Claim(Enum):
    """What a machine may do about an app."""

    TAKE = "nobody has it"
    RESUME = "an earlier daemon of this machine has it"
    LEAVE = "another machine has it"


def claim(found: bytes | None, me: Collection[Holder]) -> Claim:
    """What a machine of these names does where the registry has that for the app."""
    if found is None:
        return Claim.TAKE
    return Claim.RESUME if decoded(found) in me else Claim.LEAVE


def request_delay(told: int) -> float:
    """After how long a machine says again that visitors come to it, when it has so often."""
    return _REQUEST_SECONDS if told < _SOON else _REQUEST_LATER_SECONDS


def request_after(
    before: MigrationRequest | None, address: str, now: float, since_visitor: float | None
) -> MigrationRequest:
    """What the machine that runs an app knows when it hears that a visitor has come to `address`.
    So long ago its own last visitor came; None: none has."""
    if before is None or before.address != address:
        return MigrationRequest(address, now)
    came_here = since_visitor is not None and now - since_visitor > before.since
    return MigrationRequest(address, now) if came_here else before


def migrates(requested_for: float) -> bool:
    """Whether the machine that runs an app gives it to another one, to which visitors have come for
    so long, and none here. A single visitor there moves nothing, whenever he comes."""
    return requested_for >= _LASTING_SECONDS


def encoded(holder: Holder) -> bytes:
    """The value of the key."""
    return msgspec.json.encode(holder)


def decoded(value: bytes) -> Holder:
    """Who has it; a holder that is none of ours where the value cannot be read."""
    with suppress(ValueError):
        holder = from_json(value, Holder)
        if len(holder.address) <= _LONGEST_ADDRESS and holder.address.isprintable():
            return holder
    return UNKNOWN
