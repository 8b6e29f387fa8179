"""How a daemon stands to the registry of its fleet, as the control API tells it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NotFollowed:
    """A domain that is not as the registry has it."""

    domain: str
    """the domain"""
    why: str
    """a sentence with the cause and the cure"""


@dataclass(frozen=True, slots=True)
class MembershipStatus:
    """The registration of this machine with its fleet (`fleet-address`)."""

    is_registered: bool
    """whether the registry has this machine, with a lease that cannot have ended yet"""
    confirmed_at: datetime | None
    """when the registry was last asked to confirm that, and did; null: not since the daemon
    started"""
    failures: int
    """how often that has failed since the daemon started"""
    why: str | None
    """why it failed the last time; null: it has not, or was confirmed since"""


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """How the daemon stands to the registry of its fleet (`registry-config`)."""

    unreached_since: datetime | None
    """since when the registry cannot be reached; null: it can"""
    why: str | None
    """why it cannot; null: it can"""
    pulled: int
    """inis on the disk that came from the registry"""
    not_followed: int
    """domains that are not as the registry has them"""
    examples: tuple[NotFollowed, ...] = ()
    """the latest of these, at most 100"""
    changed_file: str | None = None
    """how the file of `registry-config` differs from what is in use: a sentence; null: it does
    not"""
