"""The event log: numbers, memory, readers."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from emperor.model.cause import Cause
from emperor.model.lifecycle import Event, State
from emperor.model.status import TransitionEvent
from emperor.supervisor.events import REMEMBERED, EventLog, transition_event
from emperor.supervisor.records import Occurrence
from tests.supervisor.world import World


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


def test_events_of_a_tenant_push_out_none_of_another() -> None:
    log, world = EventLog(), World()
    hit = Occurrence(world.vassal, Event.DEMAND, Cause("hit", 0.0))
    event = transition_event(datetime.now(UTC), State.PARKED, hit, "hit")
    for uid in (1001, *[1002] * 500, *range(2000, 2950), 1001):
        log.record(replace(event, uid=uid, name=f"{uid}.example"))
    assert [event.seq for event in log.recent(1001)] == [1, 2]
    assert [event.seq for event in log.recent_of({"1001.example"})] == [1, 1452]
    assert len(log.recent()) == REMEMBERED
    greedy = log.recent(1002)
    assert 1 <= len(greedy) <= REMEMBERED
    assert greedy[-1].seq == 500


def test_the_event_of_a_wake_tells_of_its_request_alone() -> None:
    world = World()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    hit = Cause("hit", 0.0, "203.0.113.9", "7f3c0a", method="GET", path="/cart", agent="curl/8.0",
                traceparent=trace)  # fmt: skip
    world.governor.demand(world.vassal, hit)
    world.launcher.last.accepts()
    woken, accepting = world.recorder.events
    assert woken.detail == "hit from 203.0.113.9 for GET /cart, agent curl/8.0"
    told = (woken.client, woken.request_id, woken.method, woken.path, woken.agent)
    assert told == ("203.0.113.9", "7f3c0a", "GET", "/cart", "curl/8.0")
    assert (accepting.event, accepting.path, accepting.agent) == (Event.ACCEPTING, None, None)
    assert (woken.traceparent, accepting.traceparent) == (trace, None)
