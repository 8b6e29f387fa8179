"""The registry of vassals, and the only place that changes one.

Each event takes the same way: `step` finds the transition, the slots move, the stage makes the
world agree with the new posture, one line is logged, and those who wait are woken. What the table
owes is fed again when a process has left its slot.
"""

import logging
import random
from collections.abc import Collection
from typing import Protocol

from emperor.chronicle import happening
from emperor.heritage import Heir, Legacy
from emperor.keeper import Keeper
from emperor.model.demand import Cause
from emperor.model.lifecycle import (
    DEPARTURES,
    POSTURE,
    Callers,
    Event,
    IllegalEvent,
    Role,
    State,
    room,
    step,
)
from emperor.model.policy import MOST_RESPAWNS, may_be_bound_at, throttle_seconds, verdict
from emperor.model.ports import News, Ports
from emperor.model.settings import Settings
from emperor.model.status import Happening
from emperor.model.vassal import Spec, Stamp
from emperor.registry import Registry, for_each
from emperor.stage import Stage
from emperor.usher import Usher
from emperor.uwsgi.farewell import farewell
from emperor.vassal import Child, Vassal
from emperor.waiters import Waiters

log = logging.getLogger("emperord")

_PARDONS = frozenset({Event.START, Event.RESTART, Event.REVISED})


class Recorder(Protocol):
    """Where transitions are written down."""

    def record(self, happening: Happening, worrying: bool = False) -> None:
        """Take one."""


class Governor:
    """Every vassal, by domain. All of it runs in one thread."""

    def __init__(self, settings: Settings, ports: Ports, recorder: Recorder) -> None:
        self._settings = settings
        self._listeners = ports.listeners
        self._clock = ports.clock
        self._recorder = recorder
        self.vassals = Registry()
        self.keeper = Keeper(ports.store)
        self.waiters = Waiters()
        self._usher = Usher(settings, ports.clock, self)
        self._stage = Stage(ports, self.keeper, self._usher, self)
        self._heir = Heir(ports.listeners, ports.launcher, self)

    def in_line(self) -> dict[Vassal, int]:
        """All who wait for their turn to boot; 1 is the next."""
        return self._usher.in_line()

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock.time()

    def cause(
        self,
        by: str,
        client: str | None = None,
        request: str | None = None,
        person: bool = False,
    ) -> Cause:
        """Somebody wants something now."""
        return Cause(by, self._clock.time(), client, request, person)

    def admit(self, spec: Spec, stamp: Stamp | None = None) -> None:
        """Serve a new domain: its socket listens from here on. Raises CannotListen."""
        vassal = Vassal(spec, self._listeners.listen(spec), self._clock.time(), stamp)
        self.vassals.add(vassal)
        self._stage.greet_callers(vassal, POSTURE[State.PARKED])
        self.keeper.keep(vassal)
        self.waiters.wake(vassal.spec.domain)

    def restore(self, legacies: Collection[Legacy]) -> None:
        """Go on with the vassals of an earlier daemon, each from where it stood. One with which
        that cannot be starts anew: whoever starts next would fall over it too."""
        heirs = self._heir.vassals(legacies)
        for domain in {each.domain for each in legacies} - {each.spec.domain for each in heirs}:
            self.keeper.drop(domain)
        for vassal in heirs:
            self.vassals.add(vassal)
        for_each(for_each(heirs, self._go_on), self._give_up)

    def revise(self, spec: Spec, stamp: Stamp | None = None) -> None:
        """Take a changed ini into service. Raises CannotListen, and then all is as before."""
        vassal = self.vassals[spec.domain]
        vassal.listener.apply(spec)
        self.vassals.drop_aliases(vassal)
        vassal.spec, vassal.stamp = spec, stamp
        self.vassals.add(vassal)
        vassal.ini_error = None
        self._feed(vassal, Event.REVISED, self.cause("its ini changed"))
        self.keeper.keep(vassal)

    def complain(self, domain: str, error: str) -> None:
        """Note that the ini became broken, while the last good spec stays in service."""
        self.vassals[domain].ini_error = error

    def dismiss(self, domain: str, why: str = "its ini is gone") -> None:
        """Drain, stop, close, unlink."""
        self._feed(self.vassals[domain], Event.REMOVED, self.cause(why))

    def dismiss_all(self, why: str) -> None:
        """Dismiss everybody. Those in line first, or each of them would boot in the place of one
        that has gone."""
        there = [vassal for vassal in self.vassals if vassal.state is not State.REMOVED]
        there.sort(key=lambda vassal: vassal.turn_for is None)
        # A stop waits until they all have gone.
        left = for_each(there, lambda vassal: self.dismiss(vassal.spec.domain, why))
        for_each(left, self._give_up)

    def restore_listeners(self) -> None:
        """Bind again the sockets whose path somebody took away, and reload those that run. Where
        all is well, have the kernel note the next use too."""
        for_each(self.vassals, self._look_after_listener)

    # What others want of a vassal.

    def demand(self, vassal: Vassal, cause: Cause) -> None:
        """A visitor wants the app."""
        vassal.last_hit = cause.at
        self._look_for_socket(vassal)
        self._feed(vassal, Event.DEMAND, cause)

    def order(self, vassal: Vassal, event: Event, by: str) -> None:
        """The operator says START, RESTART, REVISED or IDLE."""
        self._feed(vassal, event, self.cause(by, person=True))

    def hurry(self) -> None:
        """Kill what has not drained yet."""
        for_each(self.vassals, self._stage.kill)

    # What the world tells: processes, callers, timers. A message of an earlier spawn is dropped.

    def heard(self, domain: str, generation: int, news: News) -> None:
        """A byte came over a process's pipe."""
        vassal, child = self._find(domain, generation)
        if vassal is None or child is None:
            return
        now = self._clock.time()
        # An app may say the same without end: what is not new costs nothing.
        match news, child.role:
            case News.LOADED, _ if child.boot.loaded is None:
                child.boot.loaded = now
            case News.LOYAL, _ if child.boot.first_reply is None:
                child.boot.first_reply = now
            case News.ACCEPTING, Role.BOOTING if not child.blame:
                self._accepting(vassal, child, now)
            case News.ACCEPTING, Role.SERVING if child.respawns < MOST_RESPAWNS:
                self._respawned(child)
            case News.IDLE, Role.SERVING:
                self._feed(vassal, Event.IDLE, self.cause("idle"))
            case News.ACCEPTING, Role.DRAINING:
                child.process.remind()
                return
            case _:
                return
        self.keeper.keep(vassal)

    def exited(self, domain: str, generation: int, how: str) -> None:
        """A process was reaped."""
        vassal, child = self._find(domain, generation)
        if vassal is None or child is None:
            return
        if child.timer:
            child.timer.cancel()
        how = f"{child.blame}; {how}" if child.blame else how
        if child is vassal.second:
            self._second_exited(vassal, child, how)
        else:
            self._lead_exited(vassal, child, how)

    def called(self, vassal: Vassal) -> None:
        """A connection is pending on the listener, and no app is there to accept it."""
        if POSTURE[vassal.state].callers is Callers.REFUSED:
            vassal.listener.refuse()
        else:
            # Not `demand`: another listener would not have this connection.
            cause = self.cause("connection")
            vassal.last_hit = cause.at
            self._feed(vassal, Event.DEMAND, cause)

    def overdue(self, vassal: Vassal, child: Child) -> None:
        """A process did not boot or drain in time: only SIGKILL is left."""
        child.timer = child.deadline = None
        if child.role is Role.BOOTING:
            child.blame = f"did not accept within {child.spec.start_timeout:g} s"
        else:
            child.blame = f"did not drain within {child.spec.stop_timeout:g} s"
        child.process.kill()
        detail = f"pid {child.process.pid} {child.blame} and was killed with its group"
        self._feed(vassal, Event.DEADLINE, child.boot.cause, detail)

    def turn(self, vassal: Vassal) -> None:
        """The process that stood in line may boot."""
        cause = vassal.turn_for or self.cause("its turn")
        detail = f"its turn to boot, {self._clock.time() - cause.at:.3f} s after the demand"
        self._feed(vassal, Event.TURN, cause, detail)

    def evict(self, vassal: Vassal, newcomer: Vassal) -> None:
        """One must make room for another (`max-running`)."""
        self._feed(vassal, Event.IDLE, self.cause(f"evicted for {newcomer.spec.domain}"))

    def pardon(self, vassal: Vassal) -> None:
        """The throttle is over."""
        self._feed(vassal, Event.PARDON, self.cause("it may be tried again"))

    def _find(self, domain: str, generation: int) -> tuple[Vassal | None, Child | None]:
        vassal = self.vassals.get(domain)
        return vassal, vassal.child(generation) if vassal else None

    def _accepting(self, vassal: Vassal, child: Child, now: float) -> None:
        if not vassal.listener.is_in_place():
            child.blame = (
                f"{vassal.spec.socket} was replaced while the app started: its ini must name this "
                "path letter by letter, or not at all"
            )
            child.process.kill()
            return
        child.boot.accepting = now
        vassal.last_error = None
        took = now - child.boot.cause.at
        detail = f"pid {child.process.pid} accepts, {took:.3f} s after the demand"
        self._feed(vassal, Event.ACCEPTING, child.boot.cause, detail)

    def _respawned(self, child: Child) -> None:
        """A worker that dies again and again hangs its visitors, and uWSGI never gives up."""
        child.respawns += 1
        if child.respawns >= MOST_RESPAWNS and child.boot.first_reply is None and not child.blame:
            child.blame = f"its worker died {child.respawns} times and never answered"
            child.process.kill()

    def _second_exited(self, vassal: Vassal, child: Child, how: str) -> None:
        vassal.second = None
        if child.role is Role.BOOTING:
            self._successor_failed(vassal, child.boot.cause, how)
        else:
            detail = f"pid {child.process.pid} has drained: {how}"
            self._feed(vassal, Event.SECOND_EXITED, child.boot.cause, detail)

    def _successor_failed(self, vassal: Vassal, cause: Cause, how: str) -> None:
        vassal.last_error = f"the new version did not start, the old one serves on: {how}"
        self._feed(vassal, Event.SECOND_EXITED, cause, vassal.last_error, worrying=True)

    def _lead_exited(self, vassal: Vassal, child: Child, how: str) -> None:
        now = self._clock.time()
        vassal.lead = None
        successor = vassal.second if vassal.state is State.RELOADING else None
        if verdict(vassal.state, child.served_seconds(now)) is Event.FAILED:
            self._fail(vassal, child.boot.cause, how)
            return
        taken_away = vassal.state is not State.REMOVED and not vassal.listener.is_in_place()
        if taken_away:
            self._stage.listen_again(vassal)
        if child.role is Role.DRAINING:
            self._feed(vassal, Event.EXITED, child.boot.cause, how)
        else:
            vassal.failures_in_a_row = 0
            vassal.last_error = how
            vassal.slept = (now, how)
            self._feed(vassal, Event.EXITED, child.boot.cause, how, worrying=True)
        if taken_away and successor:
            # It boots on the old socket, where nobody will ever find it.
            self._feed(vassal, Event.REVISED, self.cause("its socket was taken away"))

    def _fail(self, vassal: Vassal, cause: Cause, how: str) -> None:
        # What may have escaped of the app keeps the old socket, and with it the power to make those
        # who queue there, or an accept(2) of ours, wait for ever.
        vassal.listener.shut(farewell(vassal.spec.protocol))
        self._stage.listen_again(vassal)
        now = self._clock.time()
        vassal.failures_in_a_row += 1
        vassal.last_error = how
        if vassal.state is State.RUNNING:
            vassal.slept = (now, how)
        delay = throttle_seconds(
            vassal.failures_in_a_row,
            self._settings.throttle_first,
            self._settings.throttle_max,
            random.random(),
        )
        vassal.retry_at = now + delay
        detail = f"{how}; next try in {delay:.1f} s"
        self._feed(vassal, Event.FAILED, cause, detail, worrying=True)

    # A vassal of the daemon before.

    def _go_on(self, vassal: Vassal) -> None:
        self._stage.resume(vassal)
        self._take_up(vassal, vassal.turn_for or self.cause("emperord is back"))
        if vassal.children or vassal.state is not State.PARKED:
            self._settle(vassal)

    def _give_up(self, vassal: Vassal) -> None:
        self._stage.abandon(vassal)
        self._forget(vassal)
        self._usher.settle(vassal)
        self.waiters.wake(vassal.spec.domain)

    # One event.

    def _feed(
        self, vassal: Vassal, event: Event, cause: Cause, detail: str = "", worrying: bool = False
    ) -> None:
        before = vassal.state
        try:
            there_is = room(vassal.spec.overlaps, bool(vassal.second))
            transition = step(before, event, there_is, vassal.turn_for is not None)
        except IllegalEvent as error:
            log.error("%s: %s; nothing was changed", vassal.spec.domain, error, exc_info=True)
            return
        if transition is None:
            self._usher.press(vassal, cause)
            return
        owed = vassal.owed if event in DEPARTURES else None
        if event is not Event.DEADLINE:
            vassal.owed = (transition.owes, cause) if transition.owes else None
        if event in _PARDONS:
            vassal.failures_in_a_row = 0
        vassal.move(transition.move)
        vassal.state = transition.to
        if vassal.state is not before:
            vassal.since = self._clock.time()
            if vassal.state in (State.STOPPING, State.REMOVED):
                vassal.slept = (vassal.since, str(cause))
        told = happening(vassal, before, event, detail or str(cause))
        self._recorder.record(told, worrying or event is Event.DEADLINE)
        if self._take_up(vassal, cause) and owed:
            self._feed(vassal, *owed)
        self._settle(vassal)

    def _take_up(self, vassal: Vassal, cause: Cause) -> bool:
        """Whether all that the state requires could be done."""
        problem = self._stage.take_up(vassal, POSTURE[vassal.state], cause)
        if problem and vassal.state is State.STARTING:
            self._fail(vassal, cause, problem)
        elif problem:
            self._successor_failed(vassal, cause, problem)
        return not problem

    def _settle(self, vassal: Vassal) -> None:
        """The vassal is in order again: keep it, and only then tell others."""
        if vassal.state is State.REMOVED and not vassal.children:
            self._forget(vassal)
        else:
            self.keeper.keep(vassal)
        self._usher.settle(vassal)
        self.waiters.wake(vassal.spec.domain)

    def _look_for_socket(self, vassal: Vassal) -> None:
        """nginx may have asked us because there is no socket for it. Should the process that boots
        have replaced it, that is judged when it accepts; what could not be bound again just now
        would not be either."""
        boots = any(child.role is Role.BOOTING for child in vassal.children)
        waits = may_be_bound_at(vassal.not_bound) > self._clock.time()
        if not boots and not waits and not vassal.listener.is_in_place():
            self._restore_listener(vassal)

    def _look_after_listener(self, vassal: Vassal) -> None:
        if vassal.state is not State.REMOVED and not vassal.listener.is_in_place():
            self._restore_listener(vassal)
        elif vassal.lead:
            vassal.listener.last_connect()  # on relatime it is the first use after each look

    def _restore_listener(self, vassal: Vassal) -> None:
        is_known = vassal.not_bound is not None
        if not is_known:
            log.warning("%s: %s was taken away", vassal.spec.domain, vassal.spec.socket)
        self._stage.listen_again(vassal)
        if vassal.not_bound is None or not is_known:
            self._feed(vassal, Event.REVISED, self.cause("its socket was taken away"))
        self.keeper.keep(vassal)

    def _forget(self, vassal: Vassal) -> None:
        if self.vassals.remove(vassal):
            vassal.listener.shut(farewell(vassal.spec.protocol))
            vassal.listener.close()
            self.keeper.drop(vassal.spec.domain)
