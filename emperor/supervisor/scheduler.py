"""Decides which queued vassal boots next, and which app is evicted to make room for it.

`BootQueue` has the rules; this module tells it what it must know of the vassals, and turns its
answers into events. Nothing polls: the queue moves on when a boot ends or a process exits, and a
timer rings when time alone lets it move on.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from emperor.model.boot_queue import BootQueue, Presence, Rank, Share, Tenancy
from emperor.model.cause import Cause
from emperor.model.lifecycle import Event
from emperor.model.log_fields import about
from emperor.model.permits import Permits
from emperor.model.policy import (
    LONGEST_PLACE_SECONDS,
    SHORTEST_SERVICE_SECONDS,
    Use,
    gives_way_at,
    least_missed,
    most_starting,
)
from emperor.model.ports import Clock, Timer
from emperor.model.posture import Role
from emperor.model.settings import Settings
from emperor.supervisor.records import Occurrence, Slot, Vassal
from emperor.supervisor.vassals import Vassals

log = logging.getLogger("emperord.scheduler")


@dataclass(frozen=True, slots=True)
class SchedulerPorts:
    """What the scheduler must ask: the clocks, which apps may run on this machine at all, and how
    many requests wait for a domain. `wake` is called when time alone lets the queue move on."""

    clock: Clock
    wall_clock: Callable[[], datetime]
    permits: Permits
    waiting: Callable[[str], int]
    wake: Callable[[], object]


def shared_queue(settings: Settings, cores: int, vassals: Vassals) -> BootQueue[Vassal]:
    """A queue whose places are shared by the users that the vassals run as."""
    tenancy: Tenancy[Vassal] = Tenancy(
        lambda vassal: vassal.spec.owner, lambda: vassals.has_several_owners
    )
    return BootQueue(most_starting(settings, cores), settings.max_running, tenancy)


class Scheduler:
    """The queue of the vassals that wait to boot."""

    def __init__(self, queue: BootQueue[Vassal], ports: SchedulerPorts) -> None:
        self._queue = queue
        self._clock = ports.clock
        self._wall_clock = ports.wall_clock
        self._permits = ports.permits
        self._waiting = ports.waiting
        self._wake = ports.wake
        # Whether a queued vassal may be ready, and whether one may need room, since the last look.
        self._has_changed = False
        self._may_evict = False
        self._timer: Timer | None = None
        self._is_closed = False

    def close(self) -> None:
        """Let no process boot from here on."""
        self._is_closed = True

    def may_boot(self, vassal: Vassal, slot: Slot, cause: Cause) -> bool:
        """Whether a process may boot in that slot now; else the vassal is queued."""
        if self._is_closed or not self._permits.has(vassal.spec):
            return False
        return self._queue.ask(vassal, _rank(cause) if slot is Slot.LEAD else Rank.SUCCESSOR)

    def raise_priority(self, vassal: Vassal, cause: Cause) -> None:
        """The app is queued already. A request raises its priority, most of all one of a person."""
        if vassal.is_queued_to_start and not cause.nobody_waits:
            self._queue.raise_rank(vassal, _rank(cause))
            self._has_changed = self._may_evict = True

    def update(self, vassal: Vassal) -> None:
        """Take note of what has become of a vassal."""
        refs = [child.process.ref for child in vassal.children]
        self._permits.settled(vassal.spec, refs, waits=vassal.queued_for is not None)
        self._report(vassal)
        self._has_changed = self._may_evict = True

    def give_up(self, vassal: Vassal) -> None:
        """Take note of a vassal in which a fault stopped an event. Its place goes to the next. No
        app is evicted now: it may be an eviction that cannot be carried out."""
        self._report(vassal)
        self._has_changed = True

    def positions(self) -> dict[Vassal, int]:
        """All queued vassals; 1 is the next."""
        return self._queue.positions()

    def share(self, vassal: Vassal) -> Share | None:
        """How many places to boot the apps of its user have; None where there is no bound."""
        return self._queue.share(vassal)

    def due(self) -> list[Occurrence]:
        """What should happen now: the turn of one queued vassal, or else evictions."""
        if not self._has_changed or self._is_closed:
            return []
        if not self._queue.is_empty:
            self._take_places_back()
            if vassal := self._queue.pop_ready():
                return [self._turn(vassal)]
        self._has_changed = False
        if not self._may_evict:
            return []
        self._may_evict = False
        self._set_timer()
        return self._evictions()

    def _report(self, vassal: Vassal) -> Presence:
        if vassal.queued_for is None:
            self._queue.leave(vassal)
        presence = _presence(vassal, self._clock.time())
        self._queue.report(vassal, presence)
        return presence

    def _take_places_back(self) -> None:
        for vassal in self._queue.having(Presence.BOOTING):
            if self._report(vassal) is Presence.SLOW:
                log.info(
                    "%s: boots for long, its place goes to the next",
                    vassal.spec.domain,
                    extra=about(vassal.spec.domain),
                )

    def _turn(self, vassal: Vassal) -> Occurrence:
        now = self._clock.time()
        cause = vassal.queued_for or Cause("its turn", now)
        detail = f"its turn to boot, {now - cause.at:.3f} s after the demand"
        return Occurrence(vassal, Event.TURN, cause, detail)

    def _evictions(self) -> list[Occurrence]:
        newcomers = self._queue.short_of_room()
        if not newcomers:
            return []
        now = self._clock.time()
        uses = self._uses(now)
        left = sorted(uses, key=lambda vassal: least_missed(uses[vassal]))
        running, evictions = self._running(), []
        for newcomer in newcomers:
            ripe = (v for v in left if _evictable_at(v, uses[v], newcomer, running) <= now)
            if vassal := next(ripe, None):
                left.remove(vassal)
                running[vassal.spec.owner] -= 1
                running[newcomer.spec.owner] += 1
                cause = Cause(_why_evicted(vassal, newcomer), now)
                evictions.append(Occurrence(vassal, Event.IDLE, cause))
        return evictions

    def _uses(self, now: float) -> dict[Vassal, Use]:
        return {vassal: self._use(vassal, now) for vassal in self._queue.having(Presence.SERVING)}

    def _running(self) -> Counter[int | None]:
        """How many apps of each user have a process that boots or serves."""
        kinds = (Presence.SERVING, Presence.BOOTING, Presence.SLOW)
        return Counter(v.spec.owner for kind in kinds for v in self._queue.having(kind))

    def _set_timer(self) -> None:
        """Look again when time alone lets the queue move on."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._queue.is_empty:
            return
        moments = [_slow_at(vassal) for vassal in self._queue.having(Presence.BOOTING)]
        now = self._clock.time()
        if newcomers := self._queue.short_of_room():
            uses, running = self._uses(now), self._running()
            moments += [
                _evictable_at(vassal, use, newcomer, running)
                for newcomer in newcomers
                for vassal, use in uses.items()
            ]
        if moments:
            delay = max(0.0, min(moments) - now)
            self._timer = self._clock.call_later(delay, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._has_changed = self._may_evict = True
        self._wake()

    def _use(self, vassal: Vassal, now: float) -> Use:
        used = [_accepts_since(vassal)]
        if vassal.last_hit is not None:
            used.append(vassal.last_hit)
        if connected := vassal.listener.last_connect():
            used.append(now - (self._wall_clock().timestamp() - connected))
        return Use(max(used), self._waiting(vassal.spec.domain), bool(vassal.spec.idle))


def _why_evicted(vassal: Vassal, newcomer: Vassal) -> str:
    """The cause in words. A tenant must not learn the names of others."""
    is_same = vassal.spec.owner in (None, newcomer.spec.owner)
    return f"evicted for {newcomer.spec.domain if is_same else 'another app'}"


def _rank(cause: Cause) -> Rank:
    if cause.nobody_waits:
        return Rank.SUCCESSOR
    return Rank.PERSON if cause.person else Rank.VISITOR


def _accepts_since(vassal: Vassal) -> float:
    accepting = vassal.lead.boot.accepting if vassal.lead else None
    return vassal.since if accepting is None else accepting


def _evictable_at(
    vassal: Vassal, use: Use, newcomer: Vassal, running: Counter[int | None]
) -> float:
    """When a vassal may be evicted for another. `running`: how many apps of each user run."""
    owner, other = vassal.spec.owner, newcomer.spec.owner
    gives_way = gives_way_at(
        use, is_own=owner == other, runs=running[owner], newcomer_runs=running[other]
    )
    return max(gives_way, _accepts_since(vassal) + SHORTEST_SERVICE_SECONDS)


def _slow_at(vassal: Vassal) -> float:
    return max(child.boot.spawned for child in vassal.children) + LONGEST_PLACE_SECONDS


def _presence(vassal: Vassal, now: float) -> Presence:
    roles = {child.role for child in vassal.children}
    if Role.BOOTING in roles:
        return Presence.BOOTING if now < _slow_at(vassal) else Presence.SLOW
    if Role.SERVING in roles:
        return Presence.SERVING
    return Presence.LEAVING if roles else Presence.ABSENT
