"""Events wait for the end of the one that is handled, and a fault ends only one."""

from emperor.model.cause import Cause, CauseKind
from emperor.model.lifecycle import State
from tests.supervisor.world import World


def test_an_event_that_comes_up_meanwhile_waits_for_the_end() -> None:
    world = World()
    other = world.add("b.example")
    order: list[str] = []

    def wake_the_other() -> None:
        world.governor.subscribers.remove("a.example", wake_the_other)
        world.governor.demand(other, Cause("hit", world.clock.time(), kind=CauseKind.HIT))
        order.append(f"a.example is notified; b.example is {other.state.value}")

    world.governor.subscribers.add("a.example", wake_the_other)
    world.hit()
    assert order == ["a.example is notified; b.example is parked"]
    assert other.state.value == "starting"


def test_a_fault_in_one_event_leaves_the_others_alone() -> None:
    world = World(None, max_starting="1")
    other = world.add("b.example")
    world.hit()
    world.hit(other)
    world.listener.fault = RuntimeError("a bug")
    world.launcher.last.accepts()
    assert other.state is State.STARTING, "its place is free again"


def test_a_fault_in_scheduling_leaves_the_event_alone() -> None:
    world = World(None, max_running="1")
    world.run()
    world.listener.connect_fault = RuntimeError("a bug")
    other = world.add("b.example")
    world.hit(other)
    world.governor.dismiss_all(world.governor.vassals, "emperord stops")
    assert other.state is State.REMOVED
