"""An app with `idle = 0` runs always; a process that ends by an order is no failed start."""

from dataclasses import replace

import pytest

from emperor.model.lifecycle import Event
from emperor.model.policy import MOST_EARLY_ENDS
from emperor.model.ports import Exit
from tests.supervisor.fake_launcher import FakeProcess
from tests.supervisor.world import SPEC, World

ALWAYS = replace(SPEC, idle=0)


def ends(process: FakeProcess, ended: Exit) -> None:
    process.events.on_exit(process.spec.domain, process.generation, ended)


def test_an_app_that_never_sleeps_starts_with_the_daemon() -> None:
    world = World(ALWAYS)
    assert world.state == "starting"
    world.launcher.last.accepts()
    world.crash()
    assert world.state == "running"


def test_an_app_that_sleeps_does_not_start_by_itself() -> None:
    world = World()
    assert world.state == "parked"
    world.governor.revise(ALWAYS)
    assert world.state == "starting"


def test_apps_that_never_sleep_boot_after_those_with_visitors() -> None:
    world = World(ALWAYS, max_starting="1")
    for domain in ("b.example", "c.example"):
        world.add(domain)
    visited = world.governor.vassals["c.example"]
    world.hit(visited)
    assert world.governor.boot_positions()[visited] == 1


@pytest.mark.parametrize("cause", ["exit status 1", "killed by SIGKILL"])
def test_an_app_that_never_sleeps_starts_again_after_a_death(cause: str) -> None:
    world = World(ALWAYS)
    process = world.launcher.last
    process.accepts()
    world.clock.advance(60)
    process.exits(cause)
    assert world.state == "starting"
    assert world.launcher.last is not process


def test_a_crash_loop_of_an_app_that_never_sleeps_is_throttled() -> None:
    world = World(ALWAYS, throttle_first="8", throttle_max="100")
    for failures, seconds in ((1, 4), (2, 9)):
        world.launcher.last.exits("exit status 22")
        assert world.state == "throttled"
        assert world.vassal.consecutive_failures == failures
        world.clock.advance(seconds)
        assert world.state == "throttled"
        world.clock.advance(20)
        assert world.state == "starting"


def test_the_operator_can_put_an_app_that_never_sleeps_to_sleep() -> None:
    world = World(ALWAYS)
    process = world.launcher.last
    process.accepts()
    world.governor.order(world.vassal, Event.IDLE, "emperorctl sleep")
    process.exits()
    assert world.state == "parked"
    world.crash()
    world.governor.revise(replace(ALWAYS, backlog=5))
    assert world.state == "parked"
    world.hit()
    world.launcher.last.accepts()
    world.clock.advance(60)
    world.launcher.last.exits()
    assert world.state == "starting"


def test_an_evicted_app_that_never_sleeps_comes_back_with_a_hit() -> None:
    world = World(ALWAYS, max_running="1")
    world.launcher.last.accepts()
    world.clock.advance(60)
    first = world.launcher.last
    other = replace(SPEC, domain="b.example", ini="b.example.ini")
    world.governor.admit(other)
    world.hit(world.governor.vassals["b.example"])
    assert world.state == "stopping"
    first.exits()
    assert world.state == "parked"
    world.hit()
    assert world.vassal.queued_for is not None


@pytest.mark.parametrize("ended", [Exit(code=0), Exit(signal="SIGHUP"), Exit(signal="SIGTERM")])
def test_an_end_by_an_order_soon_after_a_start_is_fine(ended: Exit) -> None:
    world = World()
    world.hit()
    ends(world.launcher.last, ended)
    assert world.state == "starting", "somebody waits for it"
    world.launcher.last.accepts()
    ends(world.launcher.last, ended)
    assert world.state == "parked"
    assert world.vassal.consecutive_failures == 0


@pytest.mark.parametrize("ended", [Exit(code=1), Exit(code=22), Exit(signal="SIGKILL")])
def test_any_other_end_soon_after_a_start_is_a_failure(ended: Exit) -> None:
    world = World()
    world.hit()
    world.launcher.last.accepts()
    ends(world.launcher.last, ended)
    assert world.state == "throttled"


def test_an_app_that_always_ends_by_an_order_is_throttled() -> None:
    world = World(ALWAYS)
    for _ in range(MOST_EARLY_ENDS):
        ends(world.launcher.last, Exit(code=0))
        assert world.state == "starting"
    ends(world.launcher.last, Exit(code=0))
    assert world.state == "throttled"
