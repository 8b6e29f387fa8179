"""The registry of vassals, and the only place that changes one.

Each event takes the same way: `step` finds the transition, the slots move, the stage makes the
world agree with the new posture, one line is logged, and those who wait are woken. What the table
owes is fed again when a process has left its slot.
"""

import logging
import random
from collections.abc import Collection
from typing import Protocol

from emperor.model.cause import Cause
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
from emperor.model.ports import Exit, Message, Ports
from emperor.model.settings import Settings
from emperor.model.spec import Spec, Stamp
from emperor.model.status import TransitionEvent
from emperor.model.unavailable import unavailable_response
from emperor.supervisor.checkpoint import Checkpoint
from emperor.supervisor.effects import Effects
from emperor.supervisor.events import happening
from emperor.supervisor.records import Child, Vassal
from emperor.supervisor.registry import Registry, for_each
from emperor.supervisor.restore import Restorer, SavedVassal
from emperor.supervisor.scheduler import Scheduler
from emperor.supervisor.subscribers import Subscribers

log = logging.getLogger("emperord")

_PARDONS = frozenset({Event.START, Event.RESTART, Event.REVISED})


class Recorder(Protocol):
    """Where transitions are written down."""

    def record(self, happening: TransitionEvent, worrying: bool = False) -> None:
        """Take one."""


class Governor:
    """Every vassal, by domain. All of it runs in one thread."""

    def __init__(self, settings: Settings, ports: Ports, recorder: Recorder) -> None:
        self._settings = settings
        self._listeners = ports.listeners
        self._clock = ports.clock
        self._recorder = recorder
        self.vassals = Registry()
        self.checkpoint = Checkpoint(ports.store)
        self.subscribers = Subscribers()
        self._scheduler = Scheduler(settings, ports.clock, self)
        self._effects = Effects(ports, self.checkpoint, self._scheduler, self)
        self._restorer = Restorer(ports.listeners, ports.launcher, self)

    def in_line(self) -> dict[Vassal, int]:
        """All who wait for their turn to boot; 1 is the next."""
        return self._scheduler.in_line()

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
        self._effects.update_watch(vassal, POSTURE[State.PARKED])
        self.checkpoint.save(vassal)
        self.subscribers.wake(vassal.spec.domain)

    def restore(self, saved_vassals: Collection[SavedVassal]) -> None:
        """Go on with the vassals of an earlier daemon, each from where it stood. One with which
        that cannot be starts anew: whoever starts next would fall over it too."""
        vassals = self._restorer.vassals(saved_vassals)
        for domain in {each.domain for each in saved_vassals} - {
            each.spec.domain for each in vassals
        }:
            self.checkpoint.delete(domain)
        for vassal in vassals:
            self.vassals.add(vassal)
        for_each(for_each(vassals, self._resume), self._give_up)

    def revise(self, spec: Spec, stamp: Stamp | None = None) -> None:
        """Take a changed ini into service. Raises CannotListen, and then all is as before."""
        vassal = self.vassals[spec.domain]
        vassal.listener.apply(spec)
        self.vassals.drop_aliases(vassal)
        vassal.spec, vassal.stamp = spec, stamp
        self.vassals.add(vassal)
        vassal.ini_error = None
        self._handle(vassal, Event.REVISED, self.cause("its ini changed"))
        self.checkpoint.save(vassal)

    def complain(self, domain: str, error: str) -> None:
        """Note that the ini became broken, while the last good spec stays in service."""
        self.vassals[domain].ini_error = error

    def dismiss(self, domain: str, why: str = "its ini is gone") -> None:
        """Drain, stop, close, unlink."""
        self._handle(self.vassals[domain], Event.REMOVED, self.cause(why))

    def dismiss_all(self, why: str) -> None:
        """Dismiss everybody. Those in line first, or each of them would boot in the place of one
        that has gone."""
        there = [vassal for vassal in self.vassals if vassal.state is not State.REMOVED]
        there.sort(key=lambda vassal: vassal.queued_for is None)
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
        self._handle(vassal, Event.DEMAND, cause)

    def order(self, vassal: Vassal, event: Event, by: str) -> None:
        """The operator says START, RESTART, REVISED or IDLE."""
        self._handle(vassal, event, self.cause(by, person=True))

    def hurry(self) -> None:
        """Kill what has not drained yet."""
        for_each(self.vassals, self._effects.kill)

    # What the world tells: processes, callers, timers. A message of an earlier spawn is dropped.

    def on_message(self, domain: str, generation: int, news: Message) -> None:
        """A byte came over a process's pipe."""
        vassal, child = self._find(domain, generation)
        if vassal is None or child is None:
            return
        now = self._clock.time()
        # An app may say the same without end: what is not new costs nothing.
        match news, child.role:
            case Message.LOADED, _ if child.boot.loaded is None:
                child.boot.loaded = now
            case Message.FIRST_REPLY, _ if child.boot.first_reply is None:
                child.boot.first_reply = now
            case Message.ACCEPTING, Role.BOOTING if not child.kill_reason:
                self._accepting(vassal, child, now)
            case Message.ACCEPTING, Role.SERVING if child.respawns < MOST_RESPAWNS:
                self._respawned(child)
            case Message.IDLE, Role.SERVING:
                self._handle(vassal, Event.IDLE, self.cause("idle"))
            case Message.ACCEPTING, Role.DRAINING:
                child.process.remind()
                return
            case _:
                return
        self.checkpoint.save(vassal)

    def on_exit(self, domain: str, generation: int, ended: Exit) -> None:
        """A process was reaped."""
        vassal, child = self._find(domain, generation)
        if vassal is None or child is None:
            return
        if child.timer:
            child.timer.cancel()
        how = f"{child.kill_reason}; {ended}" if child.kill_reason else str(ended)
        if child is vassal.second:
            self._second_exited(vassal, child, how)
        else:
            self._lead_exited(vassal, child, how)

    def on_connection(self, vassal: Vassal) -> None:
        """A connection is pending on the listener, and no app is there to accept it."""
        if POSTURE[vassal.state].callers is Callers.REFUSED:
            vassal.listener.refuse()
        else:
            # Not `demand`: another listener would not have this connection.
            cause = self.cause("connection")
            vassal.last_hit = cause.at
            self._handle(vassal, Event.DEMAND, cause)

    def on_deadline(self, vassal: Vassal, child: Child) -> None:
        """A process did not boot or drain in time: only SIGKILL is left."""
        child.timer = child.deadline = None
        if child.role is Role.BOOTING:
            child.kill_reason = f"did not accept within {child.spec.start_timeout:g} s"
        else:
            child.kill_reason = f"did not drain within {child.spec.stop_timeout:g} s"
        child.process.kill()
        detail = f"pid {child.process.pid} {child.kill_reason} and was killed with its group"
        self._handle(vassal, Event.DEADLINE, child.boot.cause, detail)

    def turn(self, vassal: Vassal) -> None:
        """The process that stood in line may boot."""
        cause = vassal.queued_for or self.cause("its turn")
        detail = f"its turn to boot, {self._clock.time() - cause.at:.3f} s after the demand"
        self._handle(vassal, Event.TURN, cause, detail)

    def evict(self, vassal: Vassal, newcomer: Vassal) -> None:
        """One must make room for another (`max-running`)."""
        self._handle(vassal, Event.IDLE, self.cause(f"evicted for {newcomer.spec.domain}"))

    def on_throttle_end(self, vassal: Vassal) -> None:
        """The throttle is over."""
        self._handle(vassal, Event.PARDON, self.cause("it may be tried again"))

    def _find(self, domain: str, generation: int) -> tuple[Vassal | None, Child | None]:
        vassal = self.vassals.get(domain)
        return vassal, vassal.child(generation) if vassal else None

    def _accepting(self, vassal: Vassal, child: Child, now: float) -> None:
        if not vassal.listener.is_in_place():
            child.kill_reason = (
                f"{vassal.spec.socket} was replaced while the app started: its ini must name this "
                "path letter by letter, or not at all"
            )
            child.process.kill()
            return
        child.boot.accepting = now
        vassal.last_error = None
        took = now - child.boot.cause.at
        detail = f"pid {child.process.pid} accepts, {took:.3f} s after the demand"
        self._handle(vassal, Event.ACCEPTING, child.boot.cause, detail)

    def _respawned(self, child: Child) -> None:
        """A worker that dies again and again hangs its visitors, and uWSGI never gives up."""
        child.respawns += 1
        if (
            child.respawns >= MOST_RESPAWNS
            and child.boot.first_reply is None
            and not child.kill_reason
        ):
            child.kill_reason = f"its worker died {child.respawns} times and never answered"
            child.process.kill()

    def _second_exited(self, vassal: Vassal, child: Child, how: str) -> None:
        vassal.second = None
        if child.role is Role.BOOTING:
            self._successor_failed(vassal, child.boot.cause, how)
        else:
            detail = f"pid {child.process.pid} has drained: {how}"
            self._handle(vassal, Event.SECOND_EXITED, child.boot.cause, detail)

    def _successor_failed(self, vassal: Vassal, cause: Cause, how: str) -> None:
        vassal.last_error = f"the new version did not start, the old one serves on: {how}"
        self._handle(vassal, Event.SECOND_EXITED, cause, vassal.last_error, worrying=True)

    def _lead_exited(self, vassal: Vassal, child: Child, how: str) -> None:
        now = self._clock.time()
        vassal.lead = None
        successor = vassal.second if vassal.state is State.RELOADING else None
        if verdict(vassal.state, child.served_seconds(now)) is Event.FAILED:
            self._fail(vassal, child.boot.cause, how)
            return
        taken_away = vassal.state is not State.REMOVED and not vassal.listener.is_in_place()
        if taken_away:
            self._effects.listen_again(vassal)
        if child.role is Role.DRAINING:
            self._handle(vassal, Event.EXITED, child.boot.cause, how)
        else:
            vassal.consecutive_failures = 0
            vassal.last_error = how
            vassal.last_stop = (now, how)
            self._handle(vassal, Event.EXITED, child.boot.cause, how, worrying=True)
        if taken_away and successor:
            # It boots on the old socket, where nobody will ever find it.
            self._handle(vassal, Event.REVISED, self.cause("its socket was taken away"))

    def _fail(self, vassal: Vassal, cause: Cause, how: str) -> None:
        # What may have escaped of the app keeps the old socket, and with it the power to make those
        # who queue there, or an accept(2) of ours, wait for ever.
        vassal.listener.shut(unavailable_response(vassal.spec.protocol))
        self._effects.listen_again(vassal)
        now = self._clock.time()
        vassal.consecutive_failures += 1
        vassal.last_error = how
        if vassal.state is State.RUNNING:
            vassal.last_stop = (now, how)
        delay = throttle_seconds(
            vassal.consecutive_failures,
            self._settings.throttle_first,
            self._settings.throttle_max,
            random.random(),
        )
        vassal.retry_at = now + delay
        detail = f"{how}; next try in {delay:.1f} s"
        self._handle(vassal, Event.FAILED, cause, detail, worrying=True)

    # A vassal of the daemon before.

    def _resume(self, vassal: Vassal) -> None:
        self._effects.resume(vassal)
        self._take_up(vassal, vassal.queued_for or self.cause("emperord is back"))
        if vassal.children or vassal.state is not State.PARKED:
            self._settle(vassal)

    def _give_up(self, vassal: Vassal) -> None:
        self._effects.abandon(vassal)
        self._forget(vassal)
        self._scheduler.update(vassal)
        self.subscribers.wake(vassal.spec.domain)

    # One event.

    def _handle(
        self, vassal: Vassal, event: Event, cause: Cause, detail: str = "", worrying: bool = False
    ) -> None:
        before = vassal.state
        try:
            there_is = room(vassal.spec.overlaps, bool(vassal.second))
            transition = step(before, event, there_is, vassal.queued_for is not None)
        except IllegalEvent as error:
            log.error("%s: %s; nothing was changed", vassal.spec.domain, error, exc_info=True)
            return
        if transition is None:
            self._scheduler.raise_priority(vassal, cause)
            return
        pending_event = vassal.pending_event if event in DEPARTURES else None
        if event is not Event.DEADLINE:
            vassal.pending_event = (transition.owes, cause) if transition.owes else None
        if event in _PARDONS:
            vassal.consecutive_failures = 0
        vassal.move(transition.move)
        vassal.state = transition.to
        if vassal.state is not before:
            vassal.since = self._clock.time()
            if vassal.state in (State.STOPPING, State.REMOVED):
                vassal.last_stop = (vassal.since, str(cause))
        told = happening(vassal, before, event, detail or str(cause))
        self._recorder.record(told, worrying or event is Event.DEADLINE)
        if self._take_up(vassal, cause) and pending_event:
            self._handle(vassal, *pending_event)
        self._settle(vassal)

    def _take_up(self, vassal: Vassal, cause: Cause) -> bool:
        """Whether all that the state requires could be done."""
        problem = self._effects.apply(vassal, POSTURE[vassal.state], cause)
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
            self.checkpoint.save(vassal)
        self._scheduler.update(vassal)
        self.subscribers.wake(vassal.spec.domain)

    def _look_for_socket(self, vassal: Vassal) -> None:
        """nginx may have asked us because there is no socket for it. Should the process that boots
        have replaced it, that is judged when it accepts; what could not be bound again just now
        would not be either."""
        boots = any(child.role is Role.BOOTING for child in vassal.children)
        waits = may_be_bound_at(vassal.bind_failed_at) > self._clock.time()
        if not boots and not waits and not vassal.listener.is_in_place():
            self._restore_listener(vassal)

    def _look_after_listener(self, vassal: Vassal) -> None:
        if vassal.state is not State.REMOVED and not vassal.listener.is_in_place():
            self._restore_listener(vassal)
        elif vassal.lead:
            vassal.listener.last_connect()  # on relatime it is the first use after each look

    def _restore_listener(self, vassal: Vassal) -> None:
        is_known = vassal.bind_failed_at is not None
        if not is_known:
            log.warning("%s: %s was taken away", vassal.spec.domain, vassal.spec.socket)
        self._effects.listen_again(vassal)
        if vassal.bind_failed_at is None or not is_known:
            self._handle(vassal, Event.REVISED, self.cause("its socket was taken away"))
        self.checkpoint.save(vassal)

    def _forget(self, vassal: Vassal) -> None:
        if self.vassals.remove(vassal):
            vassal.listener.shut(unavailable_response(vassal.spec.protocol))
            vassal.listener.close()
            self.checkpoint.delete(vassal.spec.domain)
