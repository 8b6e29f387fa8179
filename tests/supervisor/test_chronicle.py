"""Which facts are kept of the life of a vassal."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from emperor.model.cause import CauseKind
from emperor.model.history import (
    Fact,
    Hit,
    Replied,
    Started,
    StartOutcome,
    StopKind,
    Stopped,
    Subject,
)
from emperor.model.lifecycle import Event
from emperor.model.ports import Exit, Message
from emperor.model.spec import Identity
from tests.supervisor.world import SPEC, World


def _told(facts: list[Fact]) -> list[str]:
    """A word for each fact: its kind, and what counts most of it."""
    return [_word(fact) for fact in facts]


def _word(fact: Fact) -> str:
    match fact:
        case Started():
            return f"{fact.start.outcome.value} for {fact.start.cause.value}"
        case Replied():
            return "replied"
        case Stopped():
            return f"{fact.stop.kind.value} after {fact.stop.served_seconds:g}: {fact.stop.reason}"
        case Hit():
            return "hit"


def _falls_asleep(world: World) -> None:
    process = world.run()
    process.says(Message.IDLE)
    process.exits()


def _fails(world: World) -> None:
    world.hit()
    world.launcher.last.exits("exit status 22: no module named flask")


def _dies(world: World) -> None:
    world.run().exits("killed by SIGKILL")


def _dies_soon(world: World) -> None:
    world.hit()
    process = world.launcher.last
    process.accepts()
    world.clock.advance(1)
    process.exits("killed by SIGSEGV")


def _is_not_wanted_any_more(world: World) -> None:
    world.hit()
    world.governor.order(world.vassal, Event.IDLE, "emperorctl sleep by uid 0")
    world.launcher.last.exits()


def _cannot_be_spawned(world: World) -> None:
    world.launcher.problem = "cannot run uwsgi: no such file"
    world.hit()


def _is_reloaded(world: World) -> None:
    old = world.run()
    world.governor.order(world.vassal, Event.REVISED, "emperorctl reload by uid 0")
    world.launcher.last.accepts()
    old.exits()


def _is_reloaded_in_vain(world: World) -> None:
    world.run()
    world.governor.order(world.vassal, Event.REVISED, "emperorctl reload by uid 0")
    world.launcher.last.exits("exit status 1")


def _is_restarted(world: World) -> None:
    process = world.run()
    world.governor.order(world.vassal, Event.RESTART, "emperorctl restart by uid 0")
    process.exits()
    world.launcher.last.accepts()


def _is_removed(world: World) -> None:
    process = world.run()
    world.governor.dismiss("a.example")
    process.exits()


def _is_woken_by_a_connection(world: World) -> None:
    world.listener.connect()
    world.launcher.last.accepts()


def _is_revised(world: World) -> None:
    old = world.run()
    world.governor.revise(replace(SPEC, idle=5))
    world.launcher.last.accepts()
    old.exits()


def _runs_always(world: World) -> None:
    world.governor.revise(replace(SPEC, idle=0))
    world.launcher.last.accepts()


def _sleeps_and_is_removed(world: World) -> None:
    world.governor.dismiss("a.example")


@pytest.mark.parametrize(
    ("live", "facts"),
    [
        (_falls_asleep, ["accepted for hit", "stopped after 60: idle"]),
        (_fails, ["failed for hit"]),
        (_dies, ["accepted for hit", "died after 60: killed by SIGKILL"]),
        (_dies_soon, ["accepted for hit", "died after 1: killed by SIGSEGV"]),
        (_is_not_wanted_any_more, ["abandoned for hit"]),
        (_cannot_be_spawned, ["failed for hit"]),
        (_is_reloaded, ["accepted for hit", "accepted for order"]),
        (_is_reloaded_in_vain, ["accepted for hit", "failed for order"]),
        (_is_restarted, ["accepted for hit",
                         "stopped after 60: emperorctl restart by uid 0", "accepted for order"]),
        (_is_removed, ["accepted for hit", "stopped after 60: its ini is gone"]),
        (_is_woken_by_a_connection, ["hit", "accepted for connection"]),
        (_is_revised, ["accepted for hit", "accepted for change"]),
        (_runs_always, ["accepted for always"]),
        (_sleeps_and_is_removed, []),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)  # fmt: skip
def test_a_life_leaves_these_facts(live: Callable[[World], None], facts: list[str]) -> None:
    world = World()
    live(world)
    assert _told(world.past) == facts


def test_a_start_has_its_visitor_and_its_phases() -> None:
    world = World(replace(SPEC, identity=Identity(1001, 1001, "alice")))
    world.hit()
    world.clock.advance(0.25)
    world.launcher.last.says(Message.LOADED)
    world.clock.advance(0.5)
    world.launcher.last.says(Message.ACCEPTING)
    [fact] = world.past
    assert isinstance(fact, Started)
    assert fact.subject == Subject("a.example", 1001)
    wake = fact.start.wake
    assert (wake.by, wake.client) == ("hit", "203.0.113.9")
    assert (wake.spawned_ms, wake.loaded_ms, wake.accepting_ms) == (0.0, 250.0, 750.0)
    assert wake.at.timestamp() == 1000.0
    assert fact.start.error is None


def test_a_failed_start_has_its_cause() -> None:
    world = World()
    _fails(world)
    [fact] = world.past
    assert isinstance(fact, Started)
    assert fact.start.error == "exit status 22: no module named flask"
    assert fact.start.wake.spawned_ms == 0.0


def test_the_first_reply_completes_the_start_of_its_process() -> None:
    world = World()
    world.hit()
    process = world.launcher.last
    process.accepts()
    world.clock.advance(0.125)
    process.says(Message.FIRST_REPLY, Message.FIRST_REPLY)
    started, replied = world.past
    assert isinstance(started, Started)
    assert isinstance(replied, Replied)
    assert replied.generation == started.generation
    assert replied.start.wake.first_reply_ms == 125.0


def test_a_reply_that_no_visitor_waited_for_is_none() -> None:
    world = World()
    world.governor.order(world.vassal, Event.START, "emperorctl start by uid 0")
    world.launcher.last.accepts()
    world.clock.advance(9000)
    world.launcher.last.says(Message.FIRST_REPLY)
    assert _told(world.past) == ["accepted for order"]


def test_a_connection_is_a_hit() -> None:
    world = World()
    world.listener.connect()
    assert _told(world.past) == ["hit"]
    world.launcher.last.accepts()
    fact = world.past[-1]
    assert isinstance(fact, Started)
    assert fact.start.cause is CauseKind.CONNECTION
    assert fact.start.outcome is StartOutcome.ACCEPTED


def test_a_history_that_fails_changes_nothing_for_the_app(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()

    def fail(_fact: Fact) -> None:
        raise ZeroDivisionError

    world.governor.chronicle._keep = fail
    world.run()
    assert world.state == "running"
    assert "cannot keep what has happened: a fault in emperord" in caplog.text


def test_a_stop_by_hand_is_no_death() -> None:
    world = World()
    process = world.run()
    process.events.on_exit("a.example", process.generation, Exit(signal="SIGTERM"))
    stopped = world.past[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.stop.kind is StopKind.ENDED
