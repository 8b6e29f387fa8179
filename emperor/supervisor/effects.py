"""Makes the world agree with a posture: door, callers, processes and timers of one vassal.

The governor decides where a vassal goes; this module carries the difference out. The door closes
before a process is asked to stop and opens after its successor accepts, so that nothing which
nginx sends falls between two processes.
"""

import logging
from typing import Protocol

from emperor.model.boot_queue import Rank
from emperor.model.cause import Boot, Cause
from emperor.model.lifecycle import POSTURE, Callers, Door, Posture, Role
from emperor.model.ports import CannotLaunch, CannotListen, Ports, ProcessEvents
from emperor.model.spec import Adoption
from emperor.supervisor.checkpoint import Checkpoint
from emperor.supervisor.records import Child, Vassal
from emperor.supervisor.scheduler import Scheduler

log = logging.getLogger("emperord")


class Reactions(ProcessEvents, Protocol):
    """Who is told what comes of it: the governor."""

    def on_connection(self, vassal: Vassal) -> None:
        """A connection is pending on the listener."""

    def on_deadline(self, vassal: Vassal, child: Child) -> None:
        """A process did not boot or drain in time."""

    def on_throttle_end(self, vassal: Vassal) -> None:
        """The throttle is over."""


class Effects:
    """Performs postures."""

    def __init__(
        self, ports: Ports, checkpoint: Checkpoint, scheduler: Scheduler, reactions: Reactions
    ) -> None:
        self._listeners = ports.listeners
        self._launcher = ports.launcher
        self._clock = ports.clock
        self._checkpoint = checkpoint
        self._scheduler = scheduler
        self._reactions = reactions
        self._generation = 0

    def apply(self, vassal: Vassal, posture: Posture, cause: Cause) -> str | None:
        """Make the world agree. Returns why a process could not be spawned, if so."""
        match posture.door:
            case Door.CLOSED:
                vassal.listener.close_door()
            case Door.BARRED:
                vassal.listener.bar_door()
        self.update_watch(vassal, posture)
        self._throttle(vassal, posture)
        if vassal.lead and posture.lead:
            self._assign(vassal, vassal.lead, posture.lead)
        if vassal.second:
            self._assign(vassal, vassal.second, posture.second)
        try:
            self._boot(vassal, posture, cause)
        except CannotLaunch as error:
            return str(error)
        if posture.door is Door.OPEN:
            vassal.listener.open_door()
        return None

    def resume(self, vassal: Vassal) -> None:
        """Set the timers of the processes that an earlier daemon left. What it had to say to them
        it has said before it was kept."""
        for child in vassal.children:
            self._generation = max(self._generation, child.generation)
            if child.deadline is not None:
                self._set_deadline(vassal, child, child.deadline)

    def listen_again(self, vassal: Vassal) -> None:
        """Close its listener, and bind another one; it is told where that cannot be."""
        vassal.listener.close()
        try:
            vassal.listener = self._listeners.listen(vassal.spec)
        except CannotListen as error:
            if vassal.bind_failed_at is None:
                log.error("%s: %s", vassal.spec.domain, error)
            vassal.last_error, vassal.bind_failed_at = str(error), self._clock.time()
        else:
            vassal.bind_failed_at = None
            self.update_watch(vassal, POSTURE[vassal.state])

    def kill(self, vassal: Vassal) -> None:
        """SIGKILL its processes, whose exits are told as ever."""
        for child in vassal.children:
            child.process.kill()

    def abandon(self, vassal: Vassal) -> None:
        """Kill its processes and set no timer for it: nothing of it is expected any more."""
        self.kill(vassal)
        for child in vassal.children:
            self._set_deadline(vassal, child, None)
            vassal.lose(child)
        vassal.queued_for = None
        if vassal.throttle:
            vassal.throttle.cancel()

    def update_watch(self, vassal: Vassal, posture: Posture) -> None:
        """Watch the listener, or leave its connections to the app."""
        # A pending demand would make a level-triggered watch spin.
        if posture.callers is Callers.LEFT_TO_THE_APP or vassal.pending_event:
            vassal.listener.unwatch()
        else:
            vassal.listener.watch(self._reactions.on_connection, vassal)

    def _throttle(self, vassal: Vassal, posture: Posture) -> None:
        if not posture.throttle:
            if vassal.throttle:
                vassal.throttle.cancel()
            vassal.throttle = vassal.retry_at = None
        elif vassal.throttle is None and vassal.retry_at is not None:
            delay = max(0.0, vassal.retry_at - self._clock.time())
            vassal.throttle = self._clock.call_later(delay, self._reactions.on_throttle_end, vassal)

    def _assign(self, vassal: Vassal, child: Child, role: Role) -> None:
        if child.role is role:
            return
        was, child.role = child.role, role
        if role is not Role.DRAINING:
            self._set_deadline(vassal, child, None)
            return
        self._set_deadline(vassal, child, self._clock.time() + child.spec.stop_timeout)
        # Before byte 1 no worker was forked, so nothing can have been accepted: a boot that is not
        # wanted any more need not be waited for. BY_NAME starts never send that byte.
        may_have_accepted = child.boot.loaded or child.spec.adoption is Adoption.BY_NAME
        if was is Role.SERVING or may_have_accepted:
            child.process.drain()
        else:
            child.process.kill()

    def _boot(self, vassal: Vassal, posture: Posture, cause: Cause) -> None:
        """Spawn the process that the posture lacks, or have it stand in line."""
        lacks_lead = posture.lead is Role.BOOTING and vassal.lead is None
        lacks_second = posture.second is Role.BOOTING and vassal.second is None
        first, vassal.queued_for = vassal.queued_for or cause, None
        if not (lacks_lead or lacks_second):
            return
        visitor = Rank.PERSON if cause.person else Rank.VISITOR
        if not self._scheduler.may_boot(vassal, visitor if lacks_lead else Rank.SUCCESSOR):
            vassal.queued_for = first
            return
        child = self._prepare(vassal, first)
        if lacks_lead:
            vassal.lead = child
        else:
            vassal.second = child
        self._spawn(vassal, child)
        if lacks_lead:
            vassal.last_boot = child.boot

    def _prepare(self, vassal: Vassal, cause: Cause) -> Child:
        self._generation += 1
        process = self._launcher.prepare(
            vassal.spec, vassal.listener, self._generation, self._reactions
        )
        now = self._clock.time()
        child = Child(self._generation, vassal.spec, process, Boot(cause, now), Role.BOOTING)
        self._set_deadline(vassal, child, now + vassal.spec.start_timeout)
        return child

    def _spawn(self, vassal: Vassal, child: Child) -> None:
        # Should the daemon die now, the next one has the process's pipe, and finds it by that.
        self._checkpoint.save(vassal)
        try:
            child.process.start()
        except CannotLaunch:
            self._set_deadline(vassal, child, None)
            vassal.lose(child)
            raise
        vassal.starts += 1

    def _set_deadline(self, vassal: Vassal, child: Child, deadline: float | None) -> None:
        """Have it killed unless it has done by then what is expected of it."""
        if child.timer:
            child.timer.cancel()
        child.timer, child.deadline = None, deadline
        if deadline is not None:
            delay = max(0.0, deadline - self._clock.time())
            child.timer = self._clock.call_later(delay, self._reactions.on_deadline, vassal, child)
