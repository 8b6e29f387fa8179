"""Judges what the registry has for a domain: whether this machine may follow it.

Whoever writes to the registry could otherwise have an app run as any user of any backend.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from emperor.linux.placed_file import Owner
from emperor.model.pulled import Occasion
from emperor.model.registration import (
    BrokenEntry,
    Entry,
    RegisteredIni,
    Sealed,
    decoded,
    refuse_serial_beyond,
)
from emperor.model.spec import numeric_id
from emperor.pull.pulled_inis import Order
from emperor.pull.registry import Unfit, Users
from emperor.registry.signers_file import Check

ROOT = 0


def _unknown(_: Sealed) -> None:
    raise BrokenEntry("it is not known yet who may sign entries")


@dataclass
class Verifier:
    """Makes an order of what the registry has, or says why this machine may not follow it. `check`
    raises BrokenEntry for an entry whose signature does not count. `now` tells seconds since the
    epoch."""

    users: Users
    unfit: Unfit
    check: Check = _unknown
    now: Callable[[], float] = time.time

    def order(self, domain: str, value: bytes | None, revision: int, occasion: Occasion) -> Order:
        """What to do about a value that was written at that revision; None: there is none."""
        if value is None:
            return Order(domain, revision, occasion)
        try:
            sealed = decoded(domain, value)
            self.check(sealed)
            refuse_serial_beyond(sealed.entry, self.now())
            owner = self._owner(sealed.entry)
        except BrokenEntry as error:
            why = f"cannot use what the registry has for {domain[:100]!r}: {error}"
            return Order(domain, revision, occasion, problem=why)
        return Order(domain, revision, occasion, sealed.entry, owner)

    def _owner(self, entry: Entry) -> Owner | None:
        """The owner of the file; None: the user of the daemon. Raises BrokenEntry."""
        if not isinstance(entry, RegisteredIni):
            return None
        name, daemon = entry.owner, self.users.daemon
        shown = repr(name[:64])
        user = self.users.user(name) if numeric_id(name) is None else None
        if user is None:
            raise BrokenEntry(f"its owner is {shown}, and there is no user of that name here")
        if daemon.uid != ROOT:
            if user.uid != daemon.uid:
                raise BrokenEntry(f"its owner is {shown}, and emperord is not root here")
            return None
        if user.uid == ROOT:
            raise BrokenEntry(f"its owner is {shown}, and an ini of the registry is never root's")
        if problem := self.unfit(user):
            raise BrokenEntry("; ".join(problem))
        return Owner(user.uid, user.gid)
