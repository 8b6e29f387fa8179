"""Each event is taken to its end before the next: decide, apply, save, notify, schedule."""

from collections.abc import Callable

import pytest

from emperor.model.lifecycle import Event, State
from emperor.supervisor.records import Vassal
from tests.supervisor.world import World


def seen_when_notified(world: World, vassal: Vassal, look: Callable[[], object]) -> list[object]:
    """What `look` returns at each notification about that vassal."""
    seen: list[object] = []
    world.governor.subscribers.add(vassal.spec.domain, lambda: seen.append(look()))
    return seen


def started(world: World) -> list[str]:
    return [process.spec.domain for process in world.launcher.started]


def states(world: World) -> list[tuple[str, str, str]]:
    events = world.recorder.events
    return [(e.name, e.before.value, e.after.value if e.after else "gone") for e in events]


def test_visitors_are_notified_before_the_next_app_boots() -> None:
    world = World(None, max_starting="1")
    other = world.add("b.example")
    world.hit()
    world.hit(other)
    seen = seen_when_notified(world, world.vassal, lambda: (world.state, started(world)))
    world.launcher.last.accepts()
    assert seen == [("running", ["a.example"])]
    assert started(world) == ["a.example", "b.example"]


def test_a_vassal_is_saved_before_subscribers_are_notified() -> None:
    world = World()
    world.hit()
    entries = world.store.entries
    saved = seen_when_notified(world, world.vassal, lambda: entries["a.example"].payload)
    world.launcher.last.accepts()
    assert saved == [entries["a.example"].payload]


def test_a_pending_demand_follows_with_nothing_in_between() -> None:
    world = World()
    process = world.run()
    seen = seen_when_notified(world, world.vassal, lambda: world.state)
    world.governor.order(world.vassal, Event.RESTART, "emperorctl restart")
    assert seen == ["stopping"]
    process.exits()
    assert states(world)[-2:] == [
        ("a.example", "stopping", "parked"),
        ("a.example", "parked", "starting"),
    ]
    assert seen == ["stopping", "starting"], "there is no notification in between"


def test_a_failed_spawn_is_an_event_with_one_notification() -> None:
    world = World()
    world.launcher.problem = "cannot spawn uwsgi: no such file"
    seen = seen_when_notified(world, world.vassal, lambda: world.state)
    world.hit()
    assert [after for _, _, after in states(world)] == ["starting", "throttled"]
    assert seen == ["throttled"]


def test_an_event_names_the_process_that_it_is_about() -> None:
    world = World()
    old = world.run()
    world.governor.order(world.vassal, Event.REVISED, "emperorctl reload")
    new = world.launcher.last
    new.accepts()
    old.exits()
    new.exits("killed by SIGKILL")
    recorded = [(event.event, event.pid) for event in world.recorder.events[-3:]]
    assert recorded == [
        (Event.ACCEPTING, new.pid),
        (Event.SECOND_EXITED, old.pid),
        (Event.FAILED, new.pid),
    ]


def test_an_illegal_turn_costs_no_place_in_the_boot_queue() -> None:
    world = World(None, max_starting="1")
    other = world.add("b.example")
    world.hit()
    world.hit(other)
    other.state = State.PARKED  # a bug
    world.launcher.last.accepts()
    third = world.add("c.example")
    world.hit(third)
    assert started(world) == ["a.example", "c.example"]


def test_a_fault_is_told_to_subscribers() -> None:
    world = World()
    seen = seen_when_notified(world, world.vassal, lambda: None)
    world.listener.fault = RuntimeError("a bug")
    world.hit()
    assert seen


def test_a_fault_of_a_subscriber_keeps_nobody_from_being_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(None, max_starting="1")
    other = world.add("b.example")
    world.hit()
    world.hit(other)
    before = seen_when_notified(world, world.vassal, lambda: world.state)

    def fail() -> None:
        raise RuntimeError("a bug")

    world.governor.subscribers.add("a.example", fail)
    after = seen_when_notified(world, world.vassal, lambda: world.state)
    world.launcher.last.accepts()
    assert before == after == ["running"]
    assert other.state is State.STARTING
    assert "cannot tell a subscriber of a.example: a fault in emperord" in caplog.messages


def test_a_fault_in_what_is_told_leaves_the_event_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.recorder.fault = RuntimeError("a bug")
    world.launcher.problem = "cannot spawn uwsgi: no such file"
    world.hit()
    assert world.state == "throttled"
    assert "cannot keep what has happened: a fault in emperord" in caplog.messages
