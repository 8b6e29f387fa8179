"""Apps that are stopped to make room for others (max-running)."""

import time
from dataclasses import replace

from emperor.model.lifecycle import Event
from emperor.model.policy import LONG_UNUSED_SECONDS
from emperor.model.spec import Identity
from emperor.supervisor.records import Vassal
from tests.supervisor.busy_machine import BusyMachine
from tests.supervisor.fake_listeners import FakeListener
from tests.supervisor.world import World

ALICE, MALLORY = (Identity(uid, uid, None) for uid in (1001, 1003))


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
