"""Binds sockets again whose path was taken away."""

import logging
from typing import Protocol

from emperor.model.cause import Cause
from emperor.model.lifecycle import Event, State
from emperor.model.log_fields import about
from emperor.model.policy import may_be_bound_at
from emperor.model.posture import Role
from emperor.supervisor.checkpoint import Checkpoint
from emperor.supervisor.effects import Effects
from emperor.supervisor.records import Occurrence, Vassal

log = logging.getLogger("emperord.lost_sockets")


class Core(Protocol):
    """What is needed of the governor."""

    @property
    def checkpoint(self) -> Checkpoint:
        """Keeps vassals for the next daemon."""

    def handle(self, occurrence: Occurrence) -> None:
        """Take an event to its end."""

    def now(self) -> float:
        """Monotonic seconds."""


class LostSockets:
    """Looks whether a socket is in its place, and restores it."""

    def __init__(self, core: Core, effects: Effects) -> None:
        self._core = core
        self._effects = effects

    def bind_if_lost(self, vassal: Vassal) -> None:
        """nginx may have asked us because there is no socket for it. Where the process that boots
        has replaced it, that is judged when it accepts; and a bind that failed just now would fail
        again."""
        boots = any(child.role is Role.BOOTING for child in vassal.children)
        waits = may_be_bound_at(vassal.bind_failed_at) > self._core.now()
        if not boots and not waits and not vassal.listener.is_in_place():
            self._restore(vassal)

    def look_after(self, vassal: Vassal) -> None:
        """Bind the socket again if its path was taken away, and reload the app if it runs. If all
        is well, have the kernel note the next use too."""
        if vassal.state is not State.REMOVED and not vassal.listener.is_in_place():
            self._restore(vassal)
        elif vassal.lead:
            vassal.listener.note_next_connect()

    def _restore(self, vassal: Vassal) -> None:
        is_known = vassal.bind_failed_at is not None
        if not is_known:
            log.warning(
                "%s: %s was taken away",
                vassal.spec.domain,
                vassal.spec.socket,
                extra=about(vassal.spec.domain),
            )
        self._effects.listen_again(vassal)
        if vassal.bind_failed_at is None or not is_known:
            cause = Cause("its socket was taken away", self._core.now())
            self._core.handle(Occurrence(vassal, Event.REVISED, cause))
        self._core.checkpoint.save(vassal)
