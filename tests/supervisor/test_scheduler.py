"""More apps have requests than may boot or run at once."""

import time
from dataclasses import replace

import pytest

from emperor.model.boot_queue import Share
from emperor.model.lifecycle import Event
from emperor.model.policy import LONG_UNUSED_SECONDS
from emperor.model.spec import Identity, OnChange, Spec
from emperor.supervisor.records import Vassal
from tests.supervisor.fake_launcher import FakeProcess
from tests.supervisor.fake_listeners import FakeListener
from tests.supervisor.world import CORES, World

ALICE, BOB, MALLORY = (Identity(uid, uid, None) for uid in (1001, 1002, 1003))


class BusyMachine(World):
    """a.example boots in the only place, and requests for other apps come."""

    def __init__(self, others: str = "bcd", spec: Spec | None = None, **flags: str) -> None:
        super().__init__(spec, **({"max_starting": "1"} | flags))
        self.others = {name: self.add(f"{name}.example") for name in others}
        self.hit()
        self.first = self.launcher.last

    def process(self, vassal: Vassal) -> FakeProcess:
        """The last process of a vassal."""
        domain = vassal.spec.domain
        return next(p for p in reversed(self.launcher.started) if p.spec.domain == domain)

    @property
    def order(self) -> list[str]:
        """The processes in the order of their start, by the first letters of their domains."""
        return [process.spec.domain[0] for process in self.launcher.started]

    @property
    def queue(self) -> list[str]:
        """The queued apps in order, by the first letters of their domains."""
        positions = {v.spec.domain[0]: n for v, n in self.governor.boot_positions().items()}
        return sorted(positions, key=lambda name: positions[name])


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


class Full(BusyMachine):
    """Two apps may run, and a.example and b.example run."""

    def __init__(self) -> None:
        super().__init__("bcd", max_starting="2", max_running="2")
        self.first.accepts()
        self.clock.advance(10)
        self.hit(self.others["b"])
        self.process(self.others["b"]).accepts()
        self.clock.advance(10)

    def connect(self, vassal: Vassal) -> None:
        """The kernel records a connection to a running app, now."""
        assert isinstance(vassal.listener, FakeListener)
        vassal.listener.connected = time.time()


def test_the_longest_unused_app_makes_room_for_a_newcomer() -> None:
    full = Full()
    c = full.others["c"]
    full.hit(c)
    assert full.state == "stopping"
    assert full.vassal.last_stop is not None
    assert full.vassal.last_stop.why == "evicted for c.example"
    assert (c.state.value, full.queue) == ("starting", ["c"])
    full.first.exits()
    assert full.order == ["a", "b", "c"]
    assert full.state == "parked"


def test_a_connection_that_the_kernel_noted_is_a_use() -> None:
    full = Full()
    full.connect(full.vassal)
    full.hit(full.others["c"])
    assert full.others["b"].state.value == "stopping"
    assert full.state == "running"


def test_an_app_that_never_sleeps_is_evicted_last() -> None:
    full = Full()
    full.governor.revise(replace(full.spec, idle=0))
    full.launcher.last.accepts()
    full.first.exits()
    full.clock.advance(10)
    full.hit(full.others["b"])
    full.hit(full.others["c"])
    assert full.others["b"].state.value == "stopping"


def test_an_app_with_held_requests_is_evicted_late() -> None:
    full = Full()
    full.governor.subscribers.add("a.example", lambda: None)
    full.hit(full.others["c"])
    assert full.others["b"].state.value == "stopping"


def test_one_app_is_evicted_for_each_newcomer_with_a_place() -> None:
    full = Full()
    full.hit(full.others["c"])
    full.hit(full.others["c"], person=True)
    assert full.others["b"].state.value == "running"
    full.hit(full.others["d"])
    assert full.others["b"].state.value == "stopping"


def test_an_app_serves_for_a_moment_before_it_is_evicted_again() -> None:
    full = Full()
    c, d = full.others["c"], full.others["d"]
    full.hit(c)
    full.first.exits()
    full.process(c).accepts()
    full.governor.order(full.others["b"], Event.IDLE, "emperorctl stop")
    full.hit(d)
    full.process(full.others["b"]).exits()
    full.process(d).accepts()
    full.hit()
    assert c.state.value == d.state.value == "running"
    full.clock.advance(1)
    assert sorted([c.state.value, d.state.value]) == ["running", "stopping"]


def test_no_app_is_evicted_for_an_app_that_was_stopped() -> None:
    full = Full()
    c = full.others["c"]
    full.hit(c)
    full.first.exits()
    full.process(c).accepts()
    full.governor.order(full.others["b"], Event.IDLE, "emperorctl stop")
    full.hit(full.others["d"])
    full.process(full.others["b"]).exits()
    full.process(full.others["d"]).accepts()
    full.hit()
    full.governor.order(full.vassal, Event.IDLE, "emperorctl stop")
    full.clock.advance(5)
    assert c.state.value == "running"
    assert not full.clock.pending


class Shared(World):
    """Three apps may run: alice's, which was used first, and two of mallory's."""

    def __init__(self) -> None:
        super().__init__(max_running="3")
        self.alice = self.add("alice.example", ALICE)
        self.mallory = [self.add(f"{number}.example", MALLORY) for number in range(3)]
        for vassal in (self.alice, *self.mallory[:2]):
            self.hit(vassal)
            self.launcher.last.accepts()
            self.clock.advance(10)

    @property
    def stopping(self) -> list[str]:
        vassals = (self.alice, *self.mallory)
        return [v.spec.domain for v in vassals if v.state.value == "stopping"]


def test_a_user_evicts_no_app_of_one_with_fewer() -> None:
    shared = Shared()
    shared.hit(shared.mallory[2])
    assert shared.stopping == ["0.example"]


def test_a_user_with_fewer_apps_evicts_those_of_one_with_more() -> None:
    shared = Shared()
    shared.clock.advance(10)
    shared.hit(shared.alice)
    shared.hit(shared.add("new.example", ALICE))
    assert shared.stopping == ["0.example"]
    assert shared.alice.state.value == "running"


def test_an_app_that_nobody_uses_makes_room_for_any_user() -> None:
    shared = Shared()
    shared.clock.advance(LONG_UNUSED_SECONDS)
    shared.hit(shared.mallory[2])
    assert shared.stopping == ["alice.example"]


def test_a_newcomer_waits_for_the_apps_of_its_own_user() -> None:
    shared = Shared()
    shared.governor.order(shared.mallory[0], Event.IDLE, "emperorctl sleep")
    shared.launcher.started[1].exits()
    shared.hit(shared.mallory[0])
    shared.launcher.last.accepts()
    shared.governor.order(shared.mallory[1], Event.IDLE, "emperorctl sleep")
    shared.launcher.started[2].exits()
    shared.hit(shared.mallory[1])
    shared.launcher.last.accepts()
    shared.hit(shared.mallory[2])
    assert not shared.stopping
    shared.clock.advance(1)
    assert shared.stopping == ["0.example"]
    assert shared.clock.pending <= 4, "and no timer rings again and again"


def test_an_evicted_app_that_is_hit_waits_behind_newcomers() -> None:
    full = Full()
    full.hit(full.others["c"])
    full.hit()
    assert full.queue == ["c", "a"]
    full.first.exits()
    assert full.order == ["a", "b", "c"]
    assert full.others["b"].state.value == "stopping", "it has to go next"
