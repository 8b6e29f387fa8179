"""The one place that says what has happened to a vassal: each transition becomes an event, and the
facts of it that are kept (model/history.py)."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from emperor.model.cause import VISITORS, Cause, StartMethod
from emperor.model.history import (
    LONGEST_TEXT,
    Fact,
    Hit,
    PastStart,
    PastStop,
    Replied,
    Started,
    StartOutcome,
    StopKind,
    Stopped,
    Subject,
    wake_of,
)
from emperor.model.lifecycle import DEPARTURES, SERVING, Decision, ErrorChange, Event, State
from emperor.model.ports import Ports, Recorder
from emperor.model.status import Level, TransitionEvent
from emperor.supervisor.events import transition_event
from emperor.supervisor.records import Child, Occurrence, Vassal

log = logging.getLogger("emperord.chronicle")


class Chronicle:
    """Tells a recorder of each transition, and `ports.history` of each fact."""

    def __init__(self, ports: Ports, recorder: Recorder) -> None:
        self._clock = ports.clock
        self._wall_clock = ports.wall_clock
        self._keep = ports.history
        self._recorder = recorder
        self._untold: list[tuple[TransitionEvent, list[Fact]]] = []

    def transition(self, before: State, what: Occurrence, decision: Decision, detail: str) -> None:
        """An event has led a vassal from the state `before` to where it is now. `tell` tells it."""
        with _caught():
            level = Level.WARNING if decision.is_warning else Level.INFO
            event = transition_event(self._wall_clock(), before, what, detail, level)
            facts: list[Fact] = []
            self._untold.append((event, facts))
            facts += self._facts(before, what, decision)

    def tell(self) -> None:
        """Tell the transitions. To write takes time, in which an app could start."""
        untold, self._untold = self._untold, []
        for event, facts in untold:
            with _caught():
                self._recorder.record(event)
            self._tell(facts)

    def reply(self, vassal: Vassal, child: Child) -> None:
        """A process has given its first reply."""
        if child.boot.cause.kind in VISITORS and child.boot.accepting is not None:
            self._tell(self._replied(vassal, child))

    def hit(self, vassal: Vassal) -> None:
        """A request has come, and the app does not accept."""
        self._tell((Hit(_subject(vassal), self._wall_clock()),))

    def _tell(self, facts: Iterable[Fact]) -> None:
        with _caught():
            for fact in facts:
                self._keep(fact)

    def _facts(self, before: State, what: Occurrence, decision: Decision) -> Iterator[Fact]:
        vassal, child = what.vassal, what.child
        is_error = decision.last_error is ErrorChange.SET
        if what.event is Event.ACCEPTING and child:
            yield self._started(what, StartOutcome.ACCEPTED)
        elif what.event in DEPARTURES and (child is None or child.boot.accepting is None):
            failed, abandoned = StartOutcome.FAILED, StartOutcome.ABANDONED
            yield self._started(what, failed if is_error else abandoned)
        served = child if what.event in DEPARTURES else vassal.lead
        if before in SERVING and decision.notes_stop and served:
            kind = StopKind.ENDED if what.event is Event.ENDED else StopKind.STOPPED
            kind = StopKind.DIED if is_error else kind
            seconds = round(served.served_seconds(self._clock.time()), 1)
            reason = what.why[:LONGEST_TEXT]
            yield Stopped(_subject(vassal), PastStop(self._wall_clock(), kind, reason, seconds))

    def _started(self, what: Occurrence, outcome: StartOutcome) -> Started:
        child, failed = what.child, outcome is StartOutcome.FAILED
        error = what.why[:LONGEST_TEXT] if failed else None
        start = self._start(what.cause, child, outcome, error)
        generation = child.generation if child else None
        seconds = self._clock.time() - what.cause.at
        return Started(_subject(what.vassal), generation, start, _method(child), seconds)

    def _replied(self, vassal: Vassal, child: Child) -> Iterator[Fact]:
        start = self._start(child.boot.cause, child, StartOutcome.ACCEPTED, None)
        yield Replied(_subject(vassal), child.generation, start, _method(child))

    def _start(
        self, cause: Cause, child: Child | None, outcome: StartOutcome, error: str | None
    ) -> PastStart:
        boot = child.boot if child else None
        started = child.process.ref.way or None if child else None
        wake = wake_of(cause, boot, self._wall(cause.at))
        return PastStart(wake, cause.kind, outcome, started, error)

    def _wall(self, moment: float) -> datetime:
        return self._wall_clock() + timedelta(seconds=moment - self._clock.time())


@contextmanager
def _caught() -> Iterator[None]:
    """What becomes of the vassal counts for more than what is told of it."""
    try:
        yield
    except Exception:
        log.exception("cannot keep what has happened: a fault in emperord")


def _method(child: Child | None) -> StartMethod | None:
    return child.process.ref.method if child else None


def _subject(vassal: Vassal) -> Subject:
    return Subject(vassal.spec.domain, vassal.spec.owner)
