"""Which of the domains that a backend serves are its own, by the table of slots that the load
balancers of its fleet share."""

from dataclasses import dataclass


class NoShare(Exception):
    """Nobody can tell what belongs to this backend; the message says why."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A domain that is served here, and belongs to another backend."""

    domain: str
    backend: str


@dataclass(frozen=True, slots=True)
class Share:
    """What belongs to the backend `address`: `slots` of `all_slots`, by the table with that
    serial, and `own` of the domains that it serves. The hosts of the `wildcards` may belong to any
    backend."""

    serial: int
    address: str
    slots: int
    all_slots: int
    own: int
    wildcards: int
    elsewhere: tuple[Elsewhere, ...]
