"""Takes each event of each vassal to its end.

An event goes one way: *decide* (the table of model/lifecycle.py), *apply* (the world agrees with
the new posture), *save* (for the next daemon), *notify* (the subscribers of the vassal), *schedule*
(the apps whose turn it is boot). Events that come meanwhile wait until then (event_queue).
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial

from emperor.model.boot_queue import Share
from emperor.model.cause import Cause, Stop
from emperor.model.fallback import Turn, boots_good_version, turn
from emperor.model.lifecycle import (
    PARDONS,
    RESTS,
    Conditions,
    Decision,
    ErrorChange,
    Event,
    IllegalEvent,
    PendingChange,
    State,
    decide,
    is_in_maintenance,
    is_put_to_sleep,
    room,
)
from emperor.model.log_fields import about
from emperor.model.ports import Ports, Recorder
from emperor.model.settings import Settings
from emperor.model.snapshot import PendingEvent, Version
from emperor.model.spec import Spec, Stamp
from emperor.model.unavailable import unavailable_response
from emperor.supervisor import versions
from emperor.supervisor.checkpoint import Checkpoint
from emperor.supervisor.chronicle import Chronicle
from emperor.supervisor.effects import Effects
from emperor.supervisor.event_queue import EventQueue
from emperor.supervisor.lost_sockets import LostSockets
from emperor.supervisor.maintenance import Maintenance
from emperor.supervisor.reactions import Reactions, not_started
from emperor.supervisor.records import Occurrence, Order, OrderOutcome, Vassal
from emperor.supervisor.restore import Restorer, SavedVassal
from emperor.supervisor.scheduler import Scheduler, SchedulerPorts, shared_queue
from emperor.supervisor.subscribers import Subscribers
from emperor.supervisor.throttle import Throttle
from emperor.supervisor.vassals import FAULT, Vassals, for_each, log_fault, why_not_started

log = logging.getLogger("emperord.governor")


class Governor:
    """Holds every vassal, and handles each event to its end. All of it runs in one thread."""

    def __init__(self, settings: Settings, ports: Ports, recorder: Recorder) -> None:
        self._ports = ports
        self.permits = ports.permits
        self._throttle = Throttle(settings, ports.clock, ports.chance)
        self.chronicle = Chronicle(ports, recorder)
        self.vassals = Vassals()
        self.checkpoint = Checkpoint(ports.store)
        self.subscribers = Subscribers()
        self.maintenance = Maintenance(ports.maintenance, ports.wall_clock)
        reactions = Reactions(self, ports.clock)
        self.on_printed, self.on_misuse = reactions.on_printed, reactions.on_misuse
        self._effects = Effects(ports, self.checkpoint.save, reactions)
        self.kill_and_rebind = self._effects.kill_and_rebind
        self.cut_off = self._effects.cut_off
        self._sockets = LostSockets(self, self._effects)
        self._restorer = Restorer(ports.listeners, ports.launchers, reactions)
        self._queue = EventQueue(self._take, self._due, self._failed)
        self._scheduler = Scheduler(
            shared_queue(settings, ports.cores, self.vassals),
            SchedulerPorts(
                ports.clock,
                ports.wall_clock,
                ports.permits,
                self.subscribers.count,
                self._queue.run,
            ),
        )

    # What others want to know.

    def now(self) -> float:
        """Monotonic seconds."""
        return self._ports.clock.time()

    def wall(self, moment: float) -> datetime:
        """A monotonic moment as the time of day."""
        return self._ports.wall_clock() + timedelta(seconds=moment - self.now())

    def boot_positions(self) -> dict[Vassal, int]:
        """All vassals that wait for their turn to boot; 1 is the next."""
        return self._scheduler.positions()

    def boot_share(self, vassal: Vassal) -> Share | None:
        """How many places to boot the apps of its user have; None where there is no bound."""
        return self._scheduler.share(vassal)

    # What others want of a vassal.

    def admit(
        self, spec: Spec, stamp: Stamp | None = None, text: bytes = b"", *, is_good: bool = False
    ) -> None:
        """Serve a new domain: its socket listens from here on. `text` is what the spec was made of,
        read from the file with that stamp. `is_good`: the app has served by it. Raises
        CannotListen."""
        vassal = Vassal.new(spec, self._ports.listeners.listen(spec), self.now(), stamp)
        vassal.text, vassal.has_accepted = text, is_good
        vassal.in_maintenance = self.maintenance.since(spec.domain) is not None
        self.vassals.add(vassal)
        self._effects.update_watch(vassal)
        self.checkpoint.save(vassal)
        self.subscribers.notify(vassal.spec.domain)
        self._start_if_always_on(vassal)

    def revise(self, spec: Spec, stamp: Stamp | None = None, text: bytes = b"") -> None:
        """Take a changed ini into service, or other settings for the same version of it. Raises
        CannotListen, and then all is as before."""
        vassal = self.vassals[spec.domain]
        new = Version(spec, stamp, text)
        is_silent = vassal.takes_silently(stamp) or versions.has_failed(vassal, new)
        vassal.listener.apply(versions.spec_after(vassal, new))
        self.vassals.drop_aliases(vassal)
        versions.take(vassal, new)
        self.vassals.add(vassal)
        vassal.ini_error = None
        if is_silent:
            self.follow(vassal, vassal.spec)
        else:
            self.handle(Occurrence(vassal, Event.REVISED, Cause.change(self.now())))
            self.checkpoint.save(vassal)

    def follow(self, vassal: Vassal, spec: Spec) -> None:
        """Give a sleeping app other settings, which concern neither its names nor its socket."""
        vassal.spec = spec
        self.subscribers.notify(spec.domain)
        self._start_if_always_on(vassal)
        self.checkpoint.save(vassal)

    def note_broken_ini(self, domain: str, error: str | None) -> None:
        """Note that the ini became broken, while the last good spec stays in service; None: that it
        could not be read for a while, and is the same."""
        self.vassals[domain].ini_error = error
        self.checkpoint.save(self.vassals[domain])

    def refuse_wildcard(self, host: str) -> None:
        """An ini claims that host: no wildcard answers in its place, served or not."""
        self._ports.listeners.unlink(host)

    def dismiss(self, domain: str, why: str = "its ini is gone") -> None:
        """Stop its processes, close its socket, unlink its path."""
        self.handle(Occurrence(self.vassals[domain], Event.REMOVED, Cause(why, self.now())))

    def end_boots(self) -> None:
        """Let no process boot any more: queued apps would boot in the places of dismissed ones."""
        self._scheduler.close()

    def dismiss_all(self, vassals: Iterable[Vassal], why: str) -> None:
        """Dismiss these vassals. A vassal in which a fault of emperord prevents that is given up,
        since a stop waits until all have gone."""
        for vassal in vassals:
            if vassal.state is not State.REMOVED:
                end = Occurrence(vassal, Event.REMOVED, Cause(why, self.now()))
                for_each(self._queue.handle(end), self._give_up)

    def demand(self, vassal: Vassal, cause: Cause) -> None:
        """A visitor wants the app."""
        vassal.last_hit = cause.at
        self._sockets.bind_if_lost(vassal)
        self.handle(Occurrence(vassal, Event.DEMAND, cause))

    def order(self, vassal: Vassal, event: Event, by: str) -> Future[OrderOutcome]:
        """The operator says START, RESTART, REVISED, IDLE, MAINTENANCE_ON or MAINTENANCE_OFF. The
        future has what came of it as soon as the vassal is at rest. Raises OSError where the
        maintenance cannot be written down, and then nothing has changed."""
        self.maintenance.follow(vassal.spec.domain, event)
        order = Order(event)
        vassal.orders += (order,)
        versions.try_newest_at(vassal, event)
        self.handle(Occurrence(vassal, event, Cause.order(by, self.now())))
        return order.outcome

    def give_up(self, vassal: Vassal) -> None:
        """Forget a vassal, if that has not happened yet, whose processes were killed."""
        if self.vassals.get(vassal.spec.domain) is vassal:
            self._give_up(vassal)

    def kill_all(self) -> None:
        """Kill the processes that have not stopped yet."""
        for_each(self.vassals, self._effects.kill)

    def restore(self, saved: Collection[SavedVassal]) -> list[Vassal]:
        """Go on with the vassals of an earlier daemon, each from where it stood. A vassal that
        cannot be restored is forgotten and starts anew: the next daemon would fail on it too.

        Returns the vassals that sleep, which may be thousands. A request wakes these already, and
        a connection once `resume` has got them.
        """
        vassals = self._restorer.vassals(saved)
        restored = {vassal.spec.domain for vassal in vassals}
        for domain in {each.domain for each in saved} - restored:
            self.checkpoint.delete(domain)
        for_each(vassals, self.vassals.add)
        asleep = [vassal for vassal in vassals if vassal.is_asleep]
        self._resume_all(vassal for vassal in vassals if not vassal.is_asleep)
        return asleep

    def resume(self, asleep: Iterable[Vassal]) -> None:
        """Watch the listeners of restored vassals, as far as they still sleep."""
        self._resume_all(
            vassal
            for vassal in asleep
            if vassal.is_asleep and self.vassals.get(vassal.spec.domain) is vassal
        )

    def restore_listeners(self, vassals: Iterable[Vassal]) -> None:
        """Bind again the sockets whose path was taken away, and reload the apps that run. Where
        all is well, have the kernel note the next use too."""
        for_each(vassals, self._sockets.look_after)

    # One event.

    def handle(self, occurrence: Occurrence) -> None:
        """Take an event to its end: now, or after the event that is being handled."""
        self._queue.handle(occurrence)

    def rebind(self, vassal: Vassal) -> None:
        """Bind a socket that was taken away anew."""
        self._effects.listen_again(vassal)

    def _due(self) -> Sequence[Occurrence]:
        try:
            return self._scheduler.due()
        except Exception:
            log.exception("cannot decide which app boots next: a fault in emperord")
            return ()

    def _failed(self, vassal: Vassal) -> None:
        """A fault of emperord has ended an event of that vassal."""
        log_fault(vassal)
        vassal.has_fault = True
        self._scheduler.give_up(vassal)
        vassal.report_orders(FAULT)
        self.subscribers.notify(vassal.spec.domain)

    def _take(self, what: Occurrence) -> Occurrence | None:
        """Handle an event. Returns the one that follows at once: the vassal is in order, to be
        saved and told of, only after that."""
        vassal, event = what.vassal, what.event
        before = vassal.is_put_to_sleep, vassal.in_maintenance
        vassal.is_put_to_sleep = is_put_to_sleep(*before, event)
        vassal.in_maintenance = is_in_maintenance(vassal.in_maintenance, event)
        try:
            there_is = room(vassal.can_overlap, bool(vassal.second))
            conditions = Conditions(vassal.queued_for is not None, vassal.stays_up, before[1])
            decision = decide(vassal.state, event, there_is, conditions)
        except IllegalEvent as error:
            log.error(
                "%s: %s; nothing was changed", vassal.spec.domain, error,
                exc_info=True, extra=about(vassal.spec.domain),
            )  # fmt: skip
            self._scheduler.give_up(vassal)
            return None
        if decision is None:
            self._scheduler.raise_priority(vassal, what.cause)
            if (vassal.is_put_to_sleep, vassal.in_maintenance) != before:
                self.checkpoint.save(vassal)
            vassal.report_orders_at_rest()
            return None
        changed = turn(vassal.state, event, versions.present(vassal))
        decision = boots_good_version(decision) if changed is Turn.FALL_BACK else decision
        released = vassal.pending_event if decision.pending is PendingChange.RELEASED else None
        self._change(what, decision, changed)
        next_up = self._apply(vassal, what.cause)
        if next_up is None and released:
            next_up = Occurrence(vassal, released.event, released.cause.after_drain(self.now()))
        if next_up is None and decision.wakes_again:
            next_up = Occurrence.of_always_on(vassal, self.now())
        if next_up is None:
            self._finish(vassal)
        return next_up

    def _change(self, what: Occurrence, decision: Decision, changed: Turn) -> None:
        """Write down in the record what was decided."""
        vassal, before = what.vassal, what.vassal.state
        why = detail = versions.explained(vassal, what.event, what.why)
        if decision.notes_stop:
            vassal.last_stop = Stop(self.now(), what.why)
        if what.event is Event.FAILED and decision.to is State.THROTTLED:
            self._effects.replace_listener(vassal)
            detail = f"{why}; it is not started for {self._throttle.begin(vassal):.1f} s"
        vassal.note_error(decision.last_error, why)
        if decision.pardons:
            vassal.consecutive_failures = 0
        if what.event in PARDONS:
            vassal.early_ends = 0
        if decision.pending is not PendingChange.KEPT:
            owes = decision.owes
            vassal.pending_event = PendingEvent(owes, what.cause) if owes else None
        if decision.answers_queue:
            self._effects.replace_listener(vassal)
        vassal.move(decision.move)
        versions.follow(vassal, changed, what.why)
        fallen_back = versions.why_fallen_back(vassal)
        if changed is Turn.FALL_BACK:
            detail = fallen_back or detail
            if vassal.lead is None and not vassal.listener.is_in_place():
                self._effects.replace_listener(vassal)
        if decision.last_error is not ErrorChange.KEPT:
            vassal.note_failure_of_orders(vassal.last_error or fallen_back)
        vassal.state = decision.to
        if vassal.state is not before:
            vassal.since = self.now()
        self.chronicle.transition(before, what, decision, detail)

    def _apply(self, vassal: Vassal, cause: Cause) -> Occurrence | None:
        """Make the world agree with the state. Returns the event to handle next where a process
        that the state requires could not be started."""
        required = vassal.posture
        wanted, slot = vassal.queued_for or cause, vassal.empty_slot(required)
        waits = slot is not None and not self._scheduler.may_boot(vassal, slot, cause)
        if vassal.queued_for and not waits:
            wanted = wanted.at_turn(self.now())
        vassal.queued_for = wanted if waits else None
        try:
            self._effects.apply(vassal, required, wanted)
        except Exception as error:
            if waits or vassal.empty_slot(required) is None:
                raise
            return not_started(vassal, cause, why_not_started(vassal, error))
        finally:
            self.chronicle.tell()
        return None

    def _finish(self, vassal: Vassal) -> None:
        """The vassal is in order again: save it, and only then tell others."""
        vassal.has_fault = False
        if vassal.state is State.REMOVED and not vassal.children:
            self._forget(vassal)
        else:
            self.checkpoint.save(vassal)
        self.subscribers.notify(vassal.spec.domain)
        vassal.report_orders_at_rest()
        self._scheduler.update(vassal)

    def _start_if_always_on(self, vassal: Vassal) -> None:
        if vassal.stays_up and vassal.state in RESTS:
            self.handle(Occurrence.of_always_on(vassal, self.now()))

    # A vassal of the daemon before.

    def _resume_all(self, vassals: Iterable[Vassal]) -> None:
        is_back = Cause("emperord is back", self.now())  # one for thousands that sleep
        for_each(for_each(vassals, partial(self._resume, is_back)), self._give_up)
        for_each(self._queue.run(), self._give_up)
        self._queue.run()

    def _resume(self, is_back: Cause, vassal: Vassal) -> None:
        self._effects.resume(vassal)
        if next_up := self._apply(vassal, vassal.queued_for or is_back):
            self.handle(next_up)
        elif vassal.children or vassal.state is not State.PARKED:
            self._finish(vassal)
        self._start_if_always_on(vassal)
        if self.maintenance.was_missed(vassal.spec.domain, vassal.in_maintenance):
            cause = Cause.order("emperorctl maintenance on", self.now())
            self.handle(Occurrence(vassal, Event.MAINTENANCE_ON, cause))

    def _give_up(self, vassal: Vassal) -> None:
        self._effects.abandon(vassal)
        self._forget(vassal)
        self._scheduler.update(vassal)
        self.subscribers.notify(vassal.spec.domain)
        vassal.state, vassal.pending_event = State.REMOVED, None
        vassal.report_orders_at_rest()

    def _forget(self, vassal: Vassal) -> None:
        if self.vassals.remove(vassal):
            vassal.listener.shut(unavailable_response(vassal.spec.protocol))
            vassal.listener.close()
            self.checkpoint.delete(vassal.spec.domain)
