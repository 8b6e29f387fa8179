"""More apps have requests than may boot at once."""

from dataclasses import replace

import pytest

from emperor.model.boot_queue import Share
from emperor.model.lifecycle import Event
from emperor.model.spec import Identity, OnChange
from tests.supervisor.busy_machine import BusyMachine
from tests.supervisor.fake_listeners import FakeListener
from tests.supervisor.world import CORES, World

ALICE, BOB, MALLORY = (Identity(uid, uid, None) for uid in (1001, 1002, 1003))


def test_a_queued_app_is_starting_without_a_process() -> None:
    busy = BusyMachine()
    b = busy.others["b"]
    busy.hit(b)
    assert busy.order == ["a"]
    assert b.state.value == "starting"
    assert b.lead is None
    assert b.starts == 0
    assert busy.queue == ["b"]
    busy.first.accepts()
    assert busy.order == ["a", "b"]
    assert busy.queue == []
    busy.process(b).accepts()
    assert b.state.value == "running"


def test_by_default_two_boot_at_once_for_each_core() -> None:
    world = World()
    for number in range(10):
        world.hit(world.add(f"{number}.example"))
    assert len(world.launcher.started) == 2 * CORES


def test_without_a_bound_all_boot_at_once() -> None:
    busy = BusyMachine(max_starting="0")
    for vassal in busy.others.values():
        busy.hit(vassal)
    assert busy.order == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "end", ["accepts", "fails", "is killed at its deadline", "is stopped", "is removed", "cannot"]
)
def test_every_end_of_a_boot_frees_its_place(end: str) -> None:
    busy = BusyMachine(spec=replace(World().spec, start_timeout=5))
    busy.hit(busy.others["b"])
    match end:
        case "accepts":
            busy.first.accepts()
        case "fails":
            busy.first.exits("exit status 22")
        case "is killed at its deadline":
            busy.clock.advance(5)
            busy.first.exits("killed by SIGKILL")
        case "is stopped":
            busy.governor.order(busy.vassal, Event.IDLE, "emperorctl stop")
        case "is removed":
            busy.governor.dismiss("a.example")
        case "cannot":
            busy.launcher.problem = "cannot spawn it"
            busy.first.exits("exit status 22")
            assert busy.others["b"].state.value == "throttled"
            busy.launcher.problem = None
            busy.hit(busy.others["c"])
            assert busy.order == ["a", "c"]
            return
    assert busy.order == ["a", "b"]


def test_a_boot_that_takes_long_loses_its_place_to_the_next() -> None:
    busy = BusyMachine()
    busy.hit(busy.others["b"])
    busy.hit(busy.others["c"])
    busy.clock.advance(9.9)
    assert busy.order == ["a"]
    busy.clock.advance(0.1)
    assert busy.order == ["a", "b"]
    busy.first.accepts()
    assert busy.order == ["a", "b"], "its place was given away already"
    busy.clock.advance(10)
    assert busy.order == ["a", "b", "c"]


def test_a_missing_program_fails_each_queued_app() -> None:
    busy = BusyMachine("")
    many = [busy.add(f"{number}.example") for number in range(2000)]
    for vassal in many:
        busy.hit(vassal)
    busy.launcher.problem = "cannot spawn it"
    busy.first.accepts()
    assert {vassal.state.value for vassal in many} == {"throttled"}


def test_people_go_first_also_when_they_come_last() -> None:
    busy = BusyMachine()
    for name in "bcd":
        busy.hit(busy.others[name])
    busy.hit(busy.others["d"], person=True)
    busy.governor.order(busy.others["c"], Event.START, "emperorctl start")
    assert busy.queue == ["d", "c", "b"]


def test_a_successor_boots_after_apps_with_waiting_visitors() -> None:
    busy = BusyMachine()
    busy.first.accepts()
    b, c = busy.others["b"], busy.others["c"]
    busy.hit(b)
    busy.governor.revise(replace(busy.spec, idle=5))
    assert busy.state == "reloading"
    busy.hit(c)
    assert busy.queue == ["c", "a"]
    busy.process(b).accepts()
    busy.process(c).accepts()
    assert busy.order == ["a", "b", "c", "a"]
    busy.launcher.last.accepts()
    assert busy.actions[-1] == f"stop {busy.first.pid}"


def test_a_successor_whose_predecessor_dies_stays_queued() -> None:
    busy = BusyMachine()
    busy.first.accepts()
    busy.clock.advance(60)
    busy.hit(busy.others["b"])
    busy.governor.revise(replace(busy.spec, idle=5))
    busy.hit(busy.others["c"])
    busy.first.exits("killed by SIGSEGV")
    assert busy.state == "starting"
    assert busy.queue == ["c", "a"]


def test_a_tenant_leaves_a_place_and_a_turn_to_another() -> None:
    world = World(max_starting="3")
    alice, bob = world.add("alice.example", ALICE), world.add("bob.example", BOB)
    many = [world.add(f"{number}.example", MALLORY) for number in range(9)]
    for vassal in many:
        world.hit(vassal, person=True)
    assert len(world.launcher.started) == 2, "the third place is for others"
    assert world.governor.boot_share(many[0]) == Share(taken=2, most=2)
    world.hit(alice)
    assert world.launcher.last.spec.domain == "alice.example"
    world.hit(bob)
    assert world.governor.boot_positions()[bob] == 1
    world.launcher.started[0].accepts()
    assert world.launcher.last.spec.domain == "bob.example"


def test_an_only_user_has_all_places() -> None:
    world = World(max_starting="3")
    others = [world.add(f"{number}.example", ALICE) for number in range(9)]
    world.governor.dismiss("a.example")
    for vassal in others:
        world.hit(vassal)
    assert len(world.launcher.started) == 3


def test_a_queued_app_boots_with_its_newest_ini() -> None:
    busy = BusyMachine()
    b = busy.others["b"]
    busy.hit(b)
    busy.hit(busy.others["c"])
    busy.governor.revise(replace(b.spec, idle=5))
    assert busy.queue == ["b", "c"], "it keeps its place"
    busy.first.accepts()
    assert busy.launcher.last.spec.idle == 5


def test_a_queued_successor_waits_where_it_must_not_overlap() -> None:
    busy = BusyMachine()
    busy.first.accepts()
    busy.hit(busy.others["b"])
    busy.governor.revise(replace(busy.spec, idle=5))
    assert busy.state == "reloading"
    busy.governor.revise(replace(busy.spec, on_change=OnChange.RESTART))
    assert busy.state == "stopping"
    assert busy.queue == []
    busy.process(busy.others["b"]).accepts()
    busy.first.exits()
    assert busy.order == ["a", "b", "a"]


@pytest.mark.parametrize("end", ["stop", "removal"])
def test_a_stopped_or_removed_app_leaves_the_queue(end: str) -> None:
    busy = BusyMachine()
    b = busy.others["b"]
    busy.hit(b)
    busy.hit(busy.others["c"])
    if end == "stop":
        busy.governor.order(b, Event.IDLE, "emperorctl stop")
        assert b.state.value == "parked"
        assert isinstance(b.listener, FakeListener)
        assert b.listener.watched
    else:
        busy.governor.dismiss("b.example")
        assert busy.governor.vassals.get("b.example") is None
    assert busy.queue == ["c"]
    busy.first.accepts()
    assert busy.order == ["a", "c"]


def test_the_start_timeout_counts_from_the_spawn() -> None:
    busy = BusyMachine()
    b = busy.others["b"]
    busy.hit(b)
    busy.clock.advance(5)
    busy.first.accepts()
    assert b.last_boot
    assert b.last_boot.spawned - b.last_boot.cause.at == 5
    assert b.last_boot.cause.turn_at == b.last_boot.spawned
    busy.clock.advance(59.9)
    assert f"kill {busy.process(b).pid}" not in busy.actions
    busy.clock.advance(0.1)
    assert busy.actions[-1] == f"kill {busy.process(b).pid}"


def test_a_hit_in_an_idle_stop_is_queued_beside_the_old_one() -> None:
    busy = BusyMachine()
    busy.first.accepts()
    busy.hit(busy.others["b"])
    busy.governor.order(busy.vassal, Event.IDLE, "emperorctl stop")
    busy.hit()
    assert (busy.state, busy.queue) == ("starting", ["a"])
    busy.first.exits()
    assert (busy.state, busy.queue) == ("starting", ["a"]), "no process was spawned meanwhile"
    busy.process(busy.others["b"]).accepts()
    assert busy.order == ["a", "b", "a"]
