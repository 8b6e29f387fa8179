"""Turns what the world tells (messages and exits of processes, connections, timers) into events.

A message of an earlier spawn carries its generation and is dropped.
"""

from typing import Protocol

from emperor.model.cause import Cause
from emperor.model.estimate import remembered
from emperor.model.lifecycle import ENDS_EARLY, Event, State
from emperor.model.policy import MOST_RESPAWNS, SETTLED_SECONDS, verdict
from emperor.model.ports import Clock, Exit, Message
from emperor.model.posture import Connections, Role
from emperor.model.unavailable import unavailable_response
from emperor.supervisor.checkpoint import Checkpoint
from emperor.supervisor.chronicle import Chronicle
from emperor.supervisor.records import Child, Occurrence, Vassal
from emperor.supervisor.vassals import Vassals


class Core(Protocol):
    """What the reactions need of the governor."""

    @property
    def vassals(self) -> Vassals:
        """All vassals."""

    def handle(self, occurrence: Occurrence) -> None:
        """Take an event to its end."""

    @property
    def checkpoint(self) -> Checkpoint:
        """Keeps vassals for the next daemon, also where something was noted that is no event."""

    @property
    def chronicle(self) -> Chronicle:
        """Keeps what has happened, also where that is no event."""

    def rebind(self, vassal: Vassal) -> None:
        """Bind a socket that was taken away anew."""


class Reactions:
    """The callbacks of processes, listeners and timers."""

    def __init__(self, core: Core, clock: Clock) -> None:
        self._core = core
        self._clock = clock

    def on_message(self, domain: str, generation: int, message: Message) -> None:
        """A byte came over a process's pipe."""
        vassal, child = self._find(domain, generation)
        if vassal is None or child is None:
            return
        now = self._clock.time()
        # An app may say the same without end: a message that tells nothing new costs nothing.
        match message, child.role:
            case Message.LOADED, _ if child.boot.loaded is None:
                child.boot.loaded = now
            case Message.FIRST_REPLY, _ if child.boot.first_reply is None:
                child.boot.first_reply = now
                self._core.chronicle.reply(vassal, child)
            case Message.ACCEPTING, Role.BOOTING if not child.kill_reason:
                self._accepting(vassal, child, now)
                return
            case Message.ACCEPTING, Role.SERVING if child.respawns < MOST_RESPAWNS:
                self._respawned(vassal, child)
            case Message.IDLE, Role.SERVING:
                self._core.handle(Occurrence(vassal, Event.IDLE, Cause("idle", now)))
                return
            case Message.ACCEPTING, Role.STOPPING:
                child.process.remind()
                return
            case _:
                return
        self._core.checkpoint.save(vassal)

    def on_exit(self, domain: str, generation: int, ended: Exit) -> None:
        """A process was reaped."""
        vassal, child = self._find(domain, generation)
        if vassal is None or child is None:
            return
        if child.timer:
            child.timer.cancel()
        why = f"{child.kill_reason}; {ended}" if child.kill_reason else str(ended)
        is_lead = child is vassal.lead
        vassal.lose(child)
        if is_lead:
            is_by_order = ended.is_by_order and not child.kill_reason
            self._lead_exited(vassal, child, why, is_by_order)
        elif child.role is Role.BOOTING:
            self._core.handle(successor_failed(vassal, child.boot.cause, why, child))
        else:
            detail = f"pid {child.process.pid} has stopped: {why}"
            self._core.handle(
                Occurrence(vassal, Event.SECOND_EXITED, child.boot.cause, detail, child)
            )

    def on_printed(self, domain: str) -> None:
        """The log of a vassal was written to. Its processes report no death of a worker before one
        has accepted, and visitors would be held until the `start-timeout`."""
        vassal = self._core.vassals.get(domain)
        for child in vassal.children if vassal else ():
            is_booting = child.role is Role.BOOTING and not child.kill_reason
            if vassal and is_booting and child.process.dies_at_start():
                child.kill_reason = "its worker died again and again and never accepted"
                child.process.kill()
                self._core.checkpoint.save(vassal)

    def on_misuse(self, domain: str, why: str) -> None:
        """The processes of a vassal do harm, and have to end at once."""
        vassal = self._core.vassals.get(domain)
        for child in vassal.children if vassal else ():
            if vassal and not child.kill_reason:
                child.kill_reason = why
                child.process.kill()
                self._core.checkpoint.save(vassal)

    def on_connection(self, vassal: Vassal) -> None:
        """A connection is pending on the listener, and no app is there to accept it."""
        if vassal.posture.connections is Connections.REFUSED:
            # Where the connection of a throttled app ends without an answer, nginx asks the daemon.
            closed = vassal.in_maintenance
            answer = unavailable_response(vassal.spec.protocol, closed) if closed else b""
            vassal.listener.refuse(answer)
        else:
            cause = Cause.connection(self._clock.time())
            vassal.last_hit = cause.at
            self._core.chronicle.hit(vassal)
            self._core.handle(Occurrence(vassal, Event.DEMAND, cause))

    def on_deadline(self, vassal: Vassal, child: Child) -> None:
        """A process did not boot or stop in time: only SIGKILL is left."""
        child.timer = child.deadline = None
        if child.role is Role.BOOTING:
            child.kill_reason = f"did not accept within {child.spec.start_timeout:g} s"
        else:
            child.kill_reason = f"did not stop within {child.spec.stop_timeout:g} s"
        child.process.kill()
        detail = f"pid {child.process.pid} {child.kill_reason} and was killed with its group"
        self._core.handle(Occurrence(vassal, Event.DEADLINE, child.boot.cause, detail, child))

    def on_throttle_end(self, vassal: Vassal) -> None:
        """The throttle is over."""
        cause = Cause("it may be tried again", self._clock.time())
        self._core.handle(Occurrence(vassal, Event.PARDON, cause))

    def _find(self, domain: str, generation: int) -> tuple[Vassal | None, Child | None]:
        vassal = self._core.vassals.get(domain)
        return vassal, vassal.child(generation) if vassal else None

    def _accepting(self, vassal: Vassal, child: Child, now: float) -> None:
        if not vassal.listener.is_in_place():
            child.kill_reason = (
                f"{vassal.spec.socket} was replaced while the app started: its ini must name this "
                "path letter by letter, or not at all"
            )
            child.process.kill()
            self._core.checkpoint.save(vassal)
            return
        child.boot.accepting = now
        vassal.boots = remembered(vassal.boots, now - child.boot.spawned)
        measured = child.process.take_slow_imports(now)
        if measured is not None or not vassal.is_slow:
            vassal.slow_imports = (measured or ()) if vassal.is_slow else ()
        took = now - child.boot.cause.at
        detail = f"pid {child.process.pid} accepts, {took:.3f} s after the demand"
        self._core.handle(Occurrence(vassal, Event.ACCEPTING, child.boot.cause, detail, child))

    def _respawned(self, vassal: Vassal, child: Child) -> None:
        """A worker that dies again and again hangs its visitors, and uWSGI never gives up."""
        child.respawns += 1
        if death := child.process.worker_death():
            vassal.set_error(death.why, is_limit=death.is_limit)
        never_answered = child.boot.first_reply is None
        if child.respawns >= MOST_RESPAWNS and never_answered and not child.kill_reason:
            child.kill_reason = f"its worker died {child.respawns} times and never answered"
            child.process.kill()

    def _lead_exited(self, vassal: Vassal, child: Child, why: str, is_by_order: bool) -> None:
        successor = vassal.second if vassal.state is State.RELOADING else None
        # An app that had to be killed has failed, however long it has served.
        served = 0.0 if child.kill_reason else child.served_seconds(self._clock.time())
        event = verdict(vassal.state, served, vassal.early_ends if is_by_order else None)
        is_early = is_by_order and served < SETTLED_SECONDS and vassal.state in ENDS_EARLY
        vassal.early_ends = vassal.early_ends + 1 if is_early else 0
        was_taken_away = (
            event in (Event.EXITED, Event.ENDED)
            and vassal.state is not State.REMOVED
            and not vassal.listener.is_in_place()
        )
        if was_taken_away:
            self._core.rebind(vassal)
        self._core.handle(Occurrence(vassal, event, child.boot.cause, why, child))
        if was_taken_away and successor:
            # It boots on the old socket, where nobody will ever find it.
            cause = Cause("its socket was taken away", self._clock.time())
            self._core.handle(Occurrence(vassal, Event.REVISED, cause))


def not_started(vassal: Vassal, cause: Cause, why: str) -> Occurrence:
    """A process that the state requires could not be started."""
    if vassal.state is State.STARTING:
        return Occurrence(vassal, Event.FAILED, cause, why)
    return successor_failed(vassal, cause, why)


def successor_failed(
    vassal: Vassal, cause: Cause, why: str, child: Child | None = None
) -> Occurrence:
    """The new version did not start, and the old one serves on."""
    detail = f"the new version did not start, the old one serves on: {why}"
    return Occurrence(vassal, Event.SECOND_EXITED, cause, detail, child)
