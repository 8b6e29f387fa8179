"""Makes the world agree with a posture: door, listener, processes and timers of one vassal.

The governor decides where a vassal goes; this module carries the difference out. The door closes
before a process is asked to stop and opens after its successor accepts, so no request of nginx
falls between two processes.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from emperor.model.cause import Boot, Cause
from emperor.model.log_fields import about
from emperor.model.ports import CannotListen, Ports, ProcessEvents
from emperor.model.posture import Connections, Door, Posture, Role
from emperor.model.snapshot import ProcessRecord
from emperor.model.unavailable import unavailable_response
from emperor.supervisor.records import Child, Slot, Vassal

log = logging.getLogger("emperord.effects")


class Callbacks(ProcessEvents, Protocol):
    """What is called when the world answers."""

    def on_connection(self, vassal: Vassal) -> None:
        """A connection is pending on the listener."""

    def on_deadline(self, vassal: Vassal, child: Child) -> None:
        """A process did not boot or stop in time."""

    def on_throttle_end(self, vassal: Vassal) -> None:
        """The throttle is over."""


class Effects:
    """Carries postures out. `save` keeps a vassal for the next daemon."""

    def __init__(self, ports: Ports, save: Callable[[Vassal], None], callbacks: Callbacks) -> None:
        self._listeners = ports.listeners
        self._launchers = ports.launchers
        self._clock = ports.clock
        self._save = save
        self._callbacks = callbacks
        # The same object for all of thousands of vassals.
        self._on_connection = callbacks.on_connection
        self._generation = 0

    def apply(self, vassal: Vassal, required: Posture, cause: Cause) -> None:
        """Make the world agree with a posture. A process boots for `cause` where the posture lacks
        one, unless the vassal is queued for it. Raises CannotLaunch."""
        # Before all that can fail: nothing else ends a throttle.
        self._throttle(vassal, required)
        match required.door:
            case Door.CLOSED:
                vassal.listener.close_door()
            case Door.BARRED:
                vassal.listener.bar_door()
        self._watch(vassal, required)
        if vassal.lead and required.lead:
            self._assign(vassal, vassal.lead, required.lead)
        if vassal.second:
            self._assign(vassal, vassal.second, required.second)
        slot = vassal.empty_slot(required)
        if slot and vassal.queued_for is None:
            self._boot(vassal, slot, cause)
        if required.door is Door.OPEN:
            vassal.listener.open_door()

    def resume(self, vassal: Vassal) -> None:
        """Set the timers of the processes that an earlier daemon left. It had given them their
        orders before it saved the vassal."""
        for child in vassal.children:
            self._generation = max(self._generation, child.generation)
            if child.deadline is not None:
                self._set_deadline(vassal, child, child.deadline)

    def listen_again(self, vassal: Vassal) -> None:
        """Close the listener, and bind another one; the record tells where that failed."""
        vassal.listener.close()
        try:
            vassal.listener = self._listeners.listen(vassal.spec)
        except CannotListen as error:
            if vassal.bind_failed_at is None:
                log.error("%s: %s", vassal.spec.domain, error, extra=about(vassal.spec.domain))
            vassal.set_error(str(error))
            vassal.bind_failed_at = self._clock.time()
        else:
            vassal.bind_failed_at = None
            self.update_watch(vassal)

    def replace_listener(self, vassal: Vassal) -> None:
        """Refuse what is queued, and bind another listener. A process that escaped from the app's
        group may keep the old socket, and with it the power to let visitors, or an accept(2) of
        ours, wait for ever."""
        answer = unavailable_response(vassal.spec.protocol, vassal.in_maintenance)
        vassal.listener.shut(answer)
        self.listen_again(vassal)

    def kill(self, vassal: Vassal) -> None:
        """SIGKILL its processes; their exits are reported as usual."""
        for child in vassal.children:
            child.process.kill()

    def kill_and_rebind(self, vassal: Vassal) -> None:
        """Kill its processes, and bind another listener: nothing of them accepts any more, wherever
        they have passed the old one. An order to restart follows."""
        self.kill(vassal)
        self.replace_listener(vassal)

    def cut_off(self, vassal: Vassal, why: str) -> None:
        """Kill its processes, and close its socket for all who have passed it on. It is dismissed
        then, and cannot come back before it is gone."""
        for child in vassal.children:
            child.kill_reason = child.kill_reason or why
        self.kill(vassal)
        vassal.listener.shut(unavailable_response(vassal.spec.protocol, vassal.in_maintenance))
        vassal.listener.close()
        self._save(vassal)

    def abandon(self, vassal: Vassal) -> None:
        """Kill its processes and cancel its timers: nothing of it is expected any more."""
        self.kill(vassal)
        for child in vassal.children:
            self._set_deadline(vassal, child, None)
            vassal.lose(child)
        vassal.queued_for = None
        if vassal.throttle:
            vassal.throttle.cancel()

    def update_watch(self, vassal: Vassal) -> None:
        """Watch the listener, or leave its connections to the app, as the state requires. Bar the
        door of a new listener where it must be."""
        required = vassal.posture
        if required.door is Door.BARRED:
            vassal.listener.bar_door()
        self._watch(vassal, required)

    def _watch(self, vassal: Vassal, required: Posture) -> None:
        if required.connections is Connections.LEFT_TO_THE_APP:
            vassal.listener.unwatch()
        else:
            vassal.listener.watch(self._on_connection, vassal)

    def _throttle(self, vassal: Vassal, required: Posture) -> None:
        if not required.throttle:
            if vassal.throttle:
                vassal.throttle.cancel()
            vassal.throttle = vassal.retry_at = None
        elif vassal.throttle is None and vassal.retry_at is not None:
            delay = max(0.0, vassal.retry_at - self._clock.time())
            vassal.throttle = self._clock.call_later(delay, self._callbacks.on_throttle_end, vassal)

    def _assign(self, vassal: Vassal, child: Child, role: Role) -> None:
        if child.role is role:
            return
        was, child.role = child.role, role
        if role is not Role.STOPPING:
            self._set_deadline(vassal, child, None)
            return
        self._set_deadline(vassal, child, self._clock.time() + child.spec.stop_timeout)
        # A process that has not loaded its app has accepted nothing, so a boot that is not wanted
        # any more can be killed at once.
        may_have_accepted = child.boot.loaded or not child.spec.runtime.reports_loading
        if was is Role.SERVING or may_have_accepted:
            child.process.stop()
        else:
            child.process.kill()

    def _boot(self, vassal: Vassal, slot: Slot, cause: Cause) -> None:
        child = self._prepare(vassal, cause)
        vassal.put(child, slot)
        try:
            # Should the daemon die now, the next one has the process's pipe, and finds it by that.
            self._save(vassal)
            child.process.start()
        except Exception:
            self._set_deadline(vassal, child, None)
            vassal.lose(child)
            raise
        vassal.starts += 1
        if slot is Slot.LEAD:
            vassal.last_boot = child.boot

    def _prepare(self, vassal: Vassal, cause: Cause) -> Child:
        self._generation += 1
        spec, now = vassal.spec, self._clock.time()
        launcher = self._launchers[spec.runtime.name]
        process = launcher.prepare(
            spec, vassal.listener, self._generation, self._callbacks, vassal.text
        )
        if vassal.is_slow or vassal.last_error is not None:
            process.measure_imports()
        boot = Boot(cause, now)
        record = ProcessRecord(self._generation, spec, process.ref, boot, Role.BOOTING)
        record.stamp = vassal.stamp
        child = Child(record, process)
        self._set_deadline(vassal, child, now + spec.start_timeout)
        return child

    def _set_deadline(self, vassal: Vassal, child: Child, deadline: float | None) -> None:
        """Have the process killed at `deadline`, in monotonic seconds; None: never."""
        if child.timer:
            child.timer.cancel()
        child.timer, child.deadline = None, deadline
        if deadline is not None:
            delay = max(0.0, deadline - self._clock.time())
            child.timer = self._clock.call_later(delay, self._callbacks.on_deadline, vassal, child)
