"""Gives vassals their turn to boot, and has the longest unused make room for a newcomer.

`BootQueue` decides which vassal is next; this module tells it what it must know. Nothing polls: the
queue moves on when a boot ends or a process exits.
"""

import logging
import os
from datetime import UTC, datetime
from typing import Protocol

from emperor.model.boot_queue import BootQueue, Presence, Rank
from emperor.model.cause import Cause
from emperor.model.lifecycle import Role
from emperor.model.policy import (
    LONGEST_PLACE_SECONDS,
    SHORTEST_SERVICE_SECONDS,
    Use,
    least_missed,
)
from emperor.model.ports import Clock, Timer
from emperor.model.settings import Settings
from emperor.supervisor.records import Vassal
from emperor.supervisor.subscribers import Subscribers

log = logging.getLogger("emperord")

_BOOTS_PER_CORE = 2


class Turns(Protocol):
    """Who acts upon it: the governor."""

    def turn(self, vassal: Vassal) -> None:
        """Boot the process that stands in line."""

    def evict(self, vassal: Vassal, newcomer: Vassal) -> None:
        """Put one to sleep for another."""

    @property
    def subscribers(self) -> Subscribers:
        """Who waits for whom."""


class Scheduler:
    """The line of those that wait to boot."""

    def __init__(self, settings: Settings, clock: Clock, turns: Turns) -> None:
        most_starting = settings.max_starting
        if most_starting is None:
            most_starting = _BOOTS_PER_CORE * len(os.sched_getaffinity(0))
        self._queue: BootQueue[Vassal] = BootQueue(most_starting, settings.max_running)
        self._clock = clock
        self._turns = turns
        self._is_serving = False
        self._timer: Timer | None = None

    def may_boot(self, vassal: Vassal, rank: Rank) -> bool:
        """Whether it may boot now; else it stands in line."""
        return self._queue.ask(vassal, rank)

    def raise_priority(self, vassal: Vassal, cause: Cause) -> None:
        """Somebody asked for one that starts already: a person moves it up in the line."""
        if vassal.is_queued_to_start and cause.person:
            self._queue.move_up(vassal, Rank.PERSON)
            self.update(vassal)

    def update(self, vassal: Vassal) -> None:
        """Take notice of what has become of a vassal, and give turns to those who can have one."""
        self._report(vassal)
        self._serve()

    def in_line(self) -> dict[Vassal, int]:
        """All who stand in line; 1 is the next."""
        return self._queue.in_line()

    def _report(self, vassal: Vassal) -> Presence:
        if vassal.queued_for is None:
            self._queue.leave(vassal)
        presence = _presence(vassal, self._clock.time())
        self._queue.report(vassal, presence)
        return presence

    def _serve(self) -> None:
        # A turn is an event too, and comes here again: the line must not become a recursion.
        if self._is_serving:
            return
        self._is_serving = True
        try:
            self._take_places_back()
            self._give_turns()
            self._make_room()
        finally:
            self._is_serving = False
        self._come_back()

    def _take_places_back(self) -> None:
        if not self._queue.anybody_waits:
            return
        for vassal in self._queue.having(Presence.BOOTING):
            if self._report(vassal) is Presence.SLOW:
                log.info("%s: boots for long, its place goes to the next", vassal.spec.domain)

    def _give_turns(self) -> None:
        while vassal := self._queue.pop_ready():
            try:
                self._turns.turn(vassal)
            finally:
                self._report(vassal)

    def _make_room(self) -> None:
        newcomers = self._queue.short_of_room()
        if not newcomers:
            return
        now = self._clock.time()
        uses = {vassal: self._use(vassal, now) for vassal in self._queue.having(Presence.SERVING)}
        ripe = [vassal for vassal in uses if _evictable_at(vassal) <= now]
        ripe.sort(key=lambda vassal: least_missed(uses[vassal]))
        for newcomer, vassal in zip(newcomers, ripe, strict=False):
            self._turns.evict(vassal, newcomer)

    def _come_back(self) -> None:
        """Look again when time alone lets the line move on."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._queue.anybody_waits:
            return
        now = self._clock.time()
        moments = [_slow_at(vassal) for vassal in self._queue.having(Presence.BOOTING)]
        if self._queue.short_of_room():
            moments += map(_evictable_at, self._queue.having(Presence.SERVING))
        if moments:
            self._timer = self._clock.call_later(max(0.0, min(moments) - now), self._serve)

    def _use(self, vassal: Vassal, now: float) -> Use:
        used = [_accepts_since(vassal)]
        if vassal.last_hit is not None:
            used.append(vassal.last_hit)
        if connected := vassal.listener.last_connect():
            used.append(now - (datetime.now(UTC).timestamp() - connected))
        held = self._turns.subscribers.count(vassal.spec.domain)
        return Use(max(used), held, bool(vassal.spec.idle))


def _accepts_since(vassal: Vassal) -> float:
    accepting = vassal.lead.boot.accepting if vassal.lead else None
    return vassal.since if accepting is None else accepting


def _evictable_at(vassal: Vassal) -> float:
    return _accepts_since(vassal) + SHORTEST_SERVICE_SECONDS


def _slow_at(vassal: Vassal) -> float:
    return max(child.boot.spawned for child in vassal.children) + LONGEST_PLACE_SECONDS


def _presence(vassal: Vassal, now: float) -> Presence:
    roles = {child.role for child in vassal.children}
    if Role.BOOTING in roles:
        return Presence.BOOTING if now < _slow_at(vassal) else Presence.SLOW
    if Role.SERVING in roles:
        return Presence.SERVING
    return Presence.LEAVING if roles else Presence.ABSENT
