"""Decides which machine of a fleet may run an app that must not run twice, and until when.

The registry has a key for each such app that runs. The key names the machine, and has a lease that
the machine renews. A machine that is cut off cannot know whether its lease has ended elsewhere: it
counts from the moment at which it sent the last renewal that was answered. The registry counts from
a later moment, so by its own clock the machine stops too early and never too late.
"""

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


@dataclass(frozen=True, slots=True)
class Holder:
    """A machine that may run an app: its address, for people, and what tells it from others."""

    address: str
    machine: str


class Claim(Enum):
    """What a machine may do about an app."""

    TAKE = "nobody has it"
    RESUME = "an earlier daemon of this machine has it"
    LEAVE = "another machine has it"


def claim(found: bytes | None, me: Holder) -> Claim:
    """What to do where the registry has that for the app."""
    if found is None:
        return Claim.TAKE
    return Claim.RESUME if decoded(found) == me else Claim.LEAVE


def encoded(holder: Holder) -> bytes:
    """The value of the key."""
    return msgspec.json.encode(holder)


def decoded(value: bytes) -> Holder:
    """Who has it; a holder that is none of ours where the value cannot be read."""
    try:
        return from_json(value, Holder)
    except ValueError:
        return Holder("an unknown machine", "")
