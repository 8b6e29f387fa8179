"""The daemon is killed, and the next daemon goes on from the store."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from emperor.model.lifecycle import Event
from emperor.model.ports import Message, StoreEntry
from emperor.model.snapshot import decoder, encode
from emperor.model.spec import OnChange, Stamp
from tests.supervisor.action_log import Crash
from tests.supervisor.fake_launcher import FakeProcess
from tests.supervisor.world import World

STAMP = Stamp(1, 2, 3, 0, 0)


def records(world: World) -> dict[str, Any]:
    """The records of all vassals, without two fields that may differ: a hit without a transition is
    not saved, and generations are counted anew when no process is left."""
    found = {}
    for vassal in world.governor.vassals:
        record = decoder(world.runtimes)(encode(vassal))
        record.last_hit = None
        for child in (record.lead, record.second):
            if child:
                child.generation = 0
        found[vassal.spec.domain] = msgspec.to_builtins(record)
    return found


def processes(world: World) -> list[FakeProcess]:
    """The processes in the slots of all vassals."""
    children = [child for vassal in world.governor.vassals for child in vassal.children]
    found = [child.process for child in children]
    fakes = [process for process in found if isinstance(process, FakeProcess)]
    return sorted(fakes, key=lambda process: process.pid)


def an_order(event: Event) -> Callable[[World], None]:
    def order(world: World) -> None:
        world.governor.order(world.vassal, event, "emperorctl")

    return order


def a_message(number: int, *messages: Message) -> Callable[[World], None]:
    def say(world: World) -> None:
        for process in processes(world)[number : number + 1]:
            process.says(*messages)

    return say


def an_exit(number: int) -> Callable[[World], None]:
    def end(world: World) -> None:
        for process in processes(world)[number : number + 1]:
            process.exits("exit status 1")

    return end


def remove_socket(world: World) -> None:
    world.listener.in_place = False
    world.governor.restore_listeners(world.governor.vassals)


EVENTS: dict[str, Callable[[World], None]] = {
    "hit": lambda world: world.hit(),
    "neighbour": lambda world: world.hit(world.governor.vassals.get("b.example")),
    "revise": lambda world: world.governor.revise(replace(world.spec, stop_timeout=5.0), STAMP),
    "revise, single": lambda world: world.governor.revise(
        replace(world.spec, on_change=OnChange.RESTART), STAMP
    ),
    **{f"order {event.value}": an_order(event) for event in (Event.START, Event.RESTART)},
    **{f"order {event.value}": an_order(event) for event in (Event.REVISED, Event.IDLE)},
    **{
        f"{number} accepts": a_message(number, Message.LOADED, Message.ACCEPTING)
        for number in range(3)
    },
    **{f"{number} replies": a_message(number, Message.FIRST_REPLY) for number in range(3)},
    **{f"{number} respawns": a_message(number, Message.ACCEPTING) for number in range(3)},
    **{f"{number} is idle": a_message(number, Message.IDLE) for number in range(3)},
    **{f"{number} exits": an_exit(number) for number in range(3)},
    "the socket is removed": remove_socket,
    "a second": lambda world: world.clock.advance(1.0),
    "a minute": lambda world: world.clock.advance(61.0),
}


def in_order(actions: list[str]) -> list[list[str]]:
    """The steps, with successive kills sorted: timers that are due at the same time have no order,
    as in asyncio."""
    runs = groupby(actions, key=lambda step: step.startswith("kill "))
    return [sorted(steps) if are_kills else list(steps) for are_kills, steps in runs]


@hypothesis_settings(deadline=None, max_examples=200)
@example(["order restart", "neighbour", "order idle", "order restart", "a minute"])
@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=25))
def test_a_crash_between_any_two_events_changes_nothing(names: list[str]) -> None:
    plain, crashing = (World(None, max_starting="1") for _ in range(2))
    for world in (plain, crashing):
        world.add("b.example")
    for number, name in enumerate(names):
        for world in (plain, crashing):
            random.seed(number)  # of the throttle's jitter
            EVENTS[name](world)
            world.clock.advance(0.001)
        crashing.crash()
        assert records(crashing) == records(plain)
        assert in_order(crashing.actions) == in_order(plain.actions)
        assert crashing.clock.pending == plain.clock.pending


def test_a_hit_wakes_an_app_that_is_not_resumed_yet() -> None:
    world = World()
    world.add("b.example")
    asleep = world.take_over()
    assert [vassal.spec.domain for vassal in asleep] == ["a.example", "b.example"]
    assert not world.listener.watched
    world.hit()
    world.governor.resume(asleep)
    assert world.state == "starting"
    world.launcher.last.accepts()
    assert world.state == "running"
    assert world.listener.door_open
    assert len(world.launcher.started) == 1
    assert [listener.watched for listener in world.listeners.made] == [False, True]


def test_a_vassal_that_goes_before_it_is_resumed_stays_away() -> None:
    world = World()
    asleep = world.take_over()
    world.governor.dismiss("a.example")
    again = world.add("a.example")
    world.governor.resume(asleep)
    assert world.governor.vassals.get("a.example") is again
    assert again.listener.fd >= 0


def test_an_app_that_runs_is_resumed_before_anybody_is_answered() -> None:
    world = World()
    world.hit()
    assert world.take_over() == []
    world.clock.advance(world.settings.start_timeout)
    assert "kill 100" in world.actions


def test_a_start_timeout_goes_on_after_a_crash() -> None:
    world = World()
    world.hit()
    world.clock.advance(50)
    world.crash()
    world.clock.advance(9)
    assert "kill 100" not in world.actions
    world.clock.advance(2)
    assert world.actions[-1] == "kill 100"


def test_a_deadline_that_passed_meanwhile_applies_at_once() -> None:
    world = World()
    world.hit()
    world.clock.now += 100
    world.crash()
    world.clock.advance(0)
    assert world.actions[-1] == "kill 100"


def test_a_throttle_goes_on_for_what_is_left_of_it() -> None:
    world = World()
    world.hit()
    world.launcher.last.exits("exit status 22")
    retry_at = world.vassal.retry_at
    assert retry_at
    world.crash()
    assert (world.state, world.vassal.retry_at) == ("throttled", retry_at)
    world.listener.connect()
    assert world.listener.refused == 1
    world.clock.advance(retry_at - world.clock.time() + 0.01)
    assert world.state == "parked"


def test_an_app_that_died_meanwhile_is_noticed() -> None:
    world = World()
    process = world.run()
    world.actions.steps_left = 0
    with pytest.raises(Crash):
        process.exits("exit status unknown")
    world.crash()
    assert world.state == "parked"
    assert not world.listener.door_open
    assert world.vassal.last_error == "exit status unknown"
    world.listener.connect()
    assert world.state == "starting"


def killed_while_it_spawns(steps: int) -> World:
    world = World()
    world.actions.steps_left = steps
    with pytest.raises(Crash):
        world.hit()
    return world


def test_a_process_spawned_just_before_a_crash_is_found() -> None:
    world = killed_while_it_spawns(3)
    assert world.actions == ["spawn 100"]
    world.crash()
    assert world.actions == ["spawn 100"]
    assert world.state == "starting"
    world.launcher.last.accepts()
    assert world.state == "running"


def test_a_spawn_that_a_crash_prevented_is_done_later() -> None:
    world = killed_while_it_spawns(2)
    assert world.actions == []
    world.crash()
    assert world.actions == ["spawn 100"]
    assert world.vassal.lead
    assert str(world.vassal.lead.boot.cause) == "hit from 203.0.113.9"


def test_a_message_just_before_a_crash_is_read_again() -> None:
    world = World()
    world.hit()
    world.actions.steps_left = 3
    with pytest.raises(Crash):
        world.launcher.last.accepts()
    world.crash()
    assert world.state == "running"
    assert world.listener.door_open


def test_a_vassal_that_was_removed_does_not_come_back() -> None:
    world = World()
    world.governor.dismiss("a.example")
    world.crash()
    assert not len(world.governor.vassals)


def test_a_removal_goes_on_after_a_crash() -> None:
    world = World()
    process = world.run()
    world.governor.dismiss("a.example")
    world.crash()
    assert world.state == "removed"
    process.exits()
    assert not len(world.governor.vassals)


def test_a_failed_bind_is_tried_again_after_a_crash() -> None:
    world = World()
    world.run()
    world.listener.in_place = False
    world.listeners.problem = "cannot bind"
    world.governor.restore_listeners(world.governor.vassals)
    world.crash()
    assert world.listener.fd == -1
    world.listeners.problem = None
    world.governor.restore_listeners(world.governor.vassals)
    assert world.listener.fd >= 0


def test_the_last_boot_is_completed_after_a_crash() -> None:
    world = World()
    process = world.run()
    world.crash()
    process.says(Message.FIRST_REPLY)
    assert world.vassal.last_boot
    assert world.vassal.last_boot.first_reply == world.clock.time()


def test_records_of_another_format_cause_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.add("b.example")
    world.add("c.example")
    for domain in ("a.example", "b.example"):
        payload = world.store.entries[domain].payload.replace(b"format\x02", b"format\x63")
        world.store.entries[domain] = StoreEntry(domain, payload)
    world.crash()
    assert [vassal.spec.domain for vassal in world.governor.vassals] == ["c.example"]
    (line,) = caplog.messages
    assert line.startswith(
        "cannot go on with 2 vassals of an earlier emperord, which start anew: a"
    )


def test_a_record_whose_descriptors_differ_is_set_aside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.add("b.example")
    world.add("c.example")
    entries = world.store.entries
    entries["a.example"] = replace(entries["a.example"], fds=())
    entries["b.example"] = replace(entries["c.example"], key="b.example", fds=())
    world.crash()
    assert [vassal.spec.domain for vassal in world.governor.vassals] == ["c.example"]
    assert caplog.messages == [
        "cannot go on with 2 vassals of an earlier emperord, which start anew: a.example: it speaks"
        " of 1 descriptors and has 0"
    ]


def test_a_vassal_that_cannot_be_restored_starts_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    other = world.add("b.example")
    process = world.run()
    world.hit(other)
    world.launcher.last.accepts()
    world.listener.fault = RuntimeError("a bug")
    world.crash()
    assert [vassal.spec.domain for vassal in world.governor.vassals] == ["b.example"]
    assert [vassal.state.value for vassal in world.governor.vassals] == ["running"]
    assert world.actions[-1] == f"kill {process.pid}", "no other daemon would end it"
    assert world.listener.closed
    assert "a.example" not in {entry.key for entry in world.store.left}
    assert not world.clock.pending
    assert "a.example: a fault in emperord; the others go on" in caplog.messages
    world.listener.fault = None
    world.governor.admit(world.spec)
    world.crash()
    assert world.state == "parked"
