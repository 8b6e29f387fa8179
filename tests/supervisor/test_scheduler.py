"""More apps are wanted than may boot or run at once."""

import time
from dataclasses import replace

import pytest

from emperor.model.lifecycle import Event
from emperor.model.spec import OnChange, Spec
from emperor.supervisor.records import Vassal
from tests.supervisor.fakes import CORES, FakeListener, FakeProcess, World


class BusyMachine(World):
    """a.example boots in the only place, and others come."""

    def __init__(self, others: str = "bcd", spec: Spec | None = None, **flags: str) -> None:
        super().__init__(spec, **({"max_starting": "1"} | flags))
        self.others = {name: self.add(f"{name}.example") for name in others}
        self.hit()
        self.first = self.launcher.last

    def process(self, vassal: Vassal) -> FakeProcess:
        """The last one that was started for it."""
        domain = vassal.spec.domain
        return next(p for p in reversed(self.launcher.started) if p.spec.domain == domain)

    @property
    def order(self) -> list[str]:
        """Whose processes were started, by the first letters of their domains."""
        return [process.spec.domain[0] for process in self.launcher.started]

    @property
    def line(self) -> list[str]:
        """Who stands in line, in order."""
        told = {v.spec.domain[0]: number for v, number in self.governor.boot_positions().items()}
        return sorted(told, key=lambda name: told[name])


def test_one_whose_turn_has_not_come_starts_without_a_process() -> None:
    crowd = BusyMachine()
    b = crowd.others["b"]
    crowd.hit(b)
    assert crowd.order == ["a"]
    assert b.state.value == "starting"
    assert b.lead is None
    assert b.starts == 0
    assert crowd.line == ["b"]
    crowd.first.accepts()
    assert crowd.order == ["a", "b"]
    assert crowd.line == []
    crowd.process(b).accepts()
    assert b.state.value == "running"


def test_by_default_two_boot_at_once_for_each_core() -> None:
    world = World()
    for number in range(10):
        world.hit(world.add(f"{number}.example"))
    assert len(world.launcher.started) == 2 * CORES


def test_without_a_bound_all_boot_at_once() -> None:
    crowd = BusyMachine(max_starting="0")
    for vassal in crowd.others.values():
        crowd.hit(vassal)
    assert crowd.order == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "end", ["accepts", "fails", "is killed at its deadline", "is stopped", "is removed", "cannot"]
)
def test_a_boot_gives_its_place_back_however_it_ends(end: str) -> None:
    crowd = BusyMachine(spec=replace(World().spec, start_timeout=5))
    crowd.hit(crowd.others["b"])
    match end:
        case "accepts":
            crowd.first.accepts()
        case "fails":
            crowd.first.exits("exit status 22")
        case "is killed at its deadline":
            crowd.clock.advance(5)
            crowd.first.exits("killed by SIGKILL")
        case "is stopped":
            crowd.governor.order(crowd.vassal, Event.IDLE, "emperorctl stop")
        case "is removed":
            crowd.governor.dismiss("a.example")
        case "cannot":
            crowd.launcher.problem = "cannot spawn it"
            crowd.first.exits("exit status 22")
            assert crowd.others["b"].state.value == "throttled"
            crowd.launcher.problem = None
            crowd.hit(crowd.others["c"])
            assert crowd.order == ["a", "c"]
            return
    assert crowd.order == ["a", "b"]


def test_a_boot_that_takes_long_loses_its_place_to_the_next() -> None:
    crowd = BusyMachine()
    crowd.hit(crowd.others["b"])
    crowd.hit(crowd.others["c"])
    crowd.clock.advance(9.9)
    assert crowd.order == ["a"]
    crowd.clock.advance(0.1)
    assert crowd.order == ["a", "b"]
    crowd.first.accepts()
    assert crowd.order == ["a", "b"], "its place was given away already"
    crowd.clock.advance(10)
    assert crowd.order == ["a", "b", "c"]


def test_a_program_that_is_gone_fails_the_whole_line_one_by_one() -> None:
    crowd = BusyMachine("")
    many = [crowd.add(f"{number}.example") for number in range(2000)]
    for vassal in many:
        crowd.hit(vassal)
    crowd.launcher.problem = "cannot spawn it"
    crowd.first.accepts()
    assert {vassal.state.value for vassal in many} == {"throttled"}


def test_people_go_first_also_when_they_come_last() -> None:
    crowd = BusyMachine()
    for name in "bcd":
        crowd.hit(crowd.others[name])
    crowd.hit(crowd.others["d"], person=True)
    crowd.governor.order(crowd.others["c"], Event.START, "emperorctl start")
    assert crowd.line == ["d", "c", "b"]


def test_a_successor_boots_after_those_for_whom_somebody_waits() -> None:
    crowd = BusyMachine()
    crowd.first.accepts()
    b, c = crowd.others["b"], crowd.others["c"]
    crowd.hit(b)
    crowd.governor.revise(replace(crowd.spec, idle=5))
    assert crowd.state == "reloading"
    crowd.hit(c)
    assert crowd.line == ["c", "a"]
    crowd.process(b).accepts()
    crowd.process(c).accepts()
    assert crowd.order == ["a", "b", "c", "a"]
    crowd.launcher.last.accepts()
    assert crowd.diary[-1] == f"drain {crowd.first.pid}"


def test_a_successor_whose_predecessor_dies_is_waited_for() -> None:
    crowd = BusyMachine()
    crowd.first.accepts()
    crowd.clock.advance(60)
    crowd.hit(crowd.others["b"])
    crowd.governor.revise(replace(crowd.spec, idle=5))
    crowd.hit(crowd.others["c"])
    crowd.first.exits("killed by SIGSEGV")
    assert crowd.state == "starting"
    assert crowd.line == ["c", "a"]


def test_a_queued_app_boots_with_its_newest_ini() -> None:
    crowd = BusyMachine()
    b = crowd.others["b"]
    crowd.hit(b)
    crowd.hit(crowd.others["c"])
    crowd.governor.revise(replace(b.spec, idle=5))
    assert crowd.line == ["b", "c"], "it keeps its place"
    crowd.first.accepts()
    assert crowd.launcher.last.spec.idle == 5


def test_a_queued_successor_waits_where_it_must_not_overlap() -> None:
    crowd = BusyMachine()
    crowd.first.accepts()
    crowd.hit(crowd.others["b"])
    crowd.governor.revise(replace(crowd.spec, idle=5))
    assert crowd.state == "reloading"
    crowd.governor.revise(replace(crowd.spec, on_change=OnChange.RESTART))
    assert crowd.state == "stopping"
    assert crowd.line == []
    crowd.process(crowd.others["b"]).accepts()
    crowd.first.exits()
    assert crowd.order == ["a", "b", "a"]


@pytest.mark.parametrize("end", ["stop", "removal"])
def test_one_that_is_not_wanted_any_more_leaves_the_line(end: str) -> None:
    crowd = BusyMachine()
    b = crowd.others["b"]
    crowd.hit(b)
    crowd.hit(crowd.others["c"])
    if end == "stop":
        crowd.governor.order(b, Event.IDLE, "emperorctl stop")
        assert b.state.value == "parked"
        assert isinstance(b.listener, FakeListener)
        assert b.listener.watched
    else:
        crowd.governor.dismiss("b.example")
        assert crowd.governor.vassals.get("b.example") is None
    assert crowd.line == ["c"]
    crowd.first.accepts()
    assert crowd.order == ["a", "c"]


def test_the_start_timeout_counts_from_the_spawn() -> None:
    crowd = BusyMachine()
    b = crowd.others["b"]
    crowd.hit(b)
    crowd.clock.advance(5)
    crowd.first.accepts()
    assert b.last_boot
    assert b.last_boot.spawned - b.last_boot.cause.at == 5
    crowd.clock.advance(59.9)
    assert f"kill {crowd.process(b).pid}" not in crowd.diary
    crowd.clock.advance(0.1)
    assert crowd.diary[-1] == f"kill {crowd.process(b).pid}"


def test_a_hit_in_an_idle_stop_is_queued_beside_the_old_one() -> None:
    crowd = BusyMachine()
    crowd.first.accepts()
    crowd.hit(crowd.others["b"])
    crowd.governor.order(crowd.vassal, Event.IDLE, "emperorctl stop")
    crowd.hit()
    assert (crowd.state, crowd.line) == ("starting", ["a"])
    crowd.first.exits()
    assert (crowd.state, crowd.line) == ("starting", ["a"]), "nobody spawned it meanwhile"
    crowd.process(crowd.others["b"]).accepts()
    assert crowd.order == ["a", "b", "a"]


class Full(BusyMachine):
    """Two may run, and a.example and b.example do."""

    def __init__(self) -> None:
        super().__init__("bcd", max_starting="2", max_running="2")
        self.first.accepts()
        self.clock.advance(10)
        self.hit(self.others["b"])
        self.process(self.others["b"]).accepts()
        self.clock.advance(10)

    def connect(self, vassal: Vassal) -> None:
        """The kernel notes a connection to a running app, now."""
        assert isinstance(vassal.listener, FakeListener)
        vassal.listener.connected = time.time()


def test_the_longest_unused_app_makes_room_for_a_newcomer() -> None:
    full = Full()
    c = full.others["c"]
    full.hit(c)
    assert full.state == "stopping"
    assert full.vassal.last_stop is not None
    assert full.vassal.last_stop.why == "evicted for c.example"
    assert (c.state.value, full.line) == ("starting", ["c"])
    full.first.exits()
    assert full.order == ["a", "b", "c"]
    assert full.state == "parked"


def test_a_connection_that_the_kernel_noted_is_a_use() -> None:
    full = Full()
    full.connect(full.vassal)
    full.hit(full.others["c"])
    assert full.others["b"].state.value == "stopping"
    assert full.state == "running"


def test_one_that_never_sleeps_is_evicted_last() -> None:
    full = Full()
    full.governor.revise(replace(full.spec, idle=0))
    full.launcher.last.accepts()
    full.first.exits()
    full.clock.advance(10)
    full.hit(full.others["b"])
    full.hit(full.others["c"])
    assert full.others["b"].state.value == "stopping"


def test_one_for_whom_somebody_waits_here_is_evicted_late() -> None:
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


def test_nobody_is_evicted_for_one_that_is_wanted_no_more() -> None:
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


def test_an_evicted_app_that_is_hit_waits_behind_newcomers() -> None:
    full = Full()
    full.hit(full.others["c"])
    full.hit()
    assert full.line == ["c", "a"]
    full.first.exits()
    assert full.order == ["a", "b", "c"]
    assert full.others["b"].state.value == "stopping", "it has to go next"
