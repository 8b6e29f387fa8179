"""The event log: numbers, memory, readers."""

from datetime import UTC, datetime

import pytest

from emperor.model.cause import Cause
from emperor.model.lifecycle import Event, State
from emperor.model.status import TransitionEvent
from emperor.supervisor.events import EventLog, transition_event
from emperor.supervisor.records import Occurrence
from tests.supervisor.fakes import World


def test_a_fault_of_a_reader_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog()
    seen: list[TransitionEvent] = []

    def fail(_event: TransitionEvent) -> None:
        raise RuntimeError("a bug")

    hit = Occurrence(World().vassal, Event.DEMAND, Cause("hit", 0.0))
    with log.reader(fail), log.reader(seen.append):
        for _ in range(2):
            log.record(transition_event(datetime.now(UTC), State.PARKED, hit, "hit"))
    assert [event.seq for event in seen] == [1, 2]
    assert "a fault in emperord" in caplog.text
