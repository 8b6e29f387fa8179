"""The imports of an app are measured at the starts that follow a slow or failed one."""

from emperor.model.ports import Message
from emperor.model.slow_imports import SlowImport
from tests.supervisor.world import World

REPORTS = SlowImport("shop.reports", 1900.0, 95, 1, "shop")


def started(world: World, seconds: float) -> None:
    """Start it for a hit, which takes so long; what imports took the time is REPORTS."""
    world.hit()
    world.launcher.last.slow_imports = (REPORTS,)
    world.clock.advance(seconds)
    world.launcher.last.accepts()


def slept(world: World) -> None:
    """Put it to sleep."""
    process = world.launcher.last
    world.clock.advance(60)
    process.says(Message.IDLE)
    process.exits()
    assert world.state == "parked"


def test_a_normal_start_is_not_measured() -> None:
    world = World()
    for _ in range(3):
        started(world, 0.2)
        assert not world.launcher.last.is_measured
        assert world.vassal.slow_imports == ()
        slept(world)


def test_the_start_after_a_slow_one_is_measured() -> None:
    world = World()
    started(world, 2.0)
    assert not world.launcher.last.is_measured
    slept(world)
    started(world, 2.0)
    assert world.launcher.last.is_measured
    assert world.vassal.slow_imports == (REPORTS,)
    slept(world)
    world.crash()
    assert world.vassal.slow_imports == (REPORTS,), "an operator may look now"


def test_what_is_fast_again_is_forgotten() -> None:
    world = World()
    for _ in range(2):
        started(world, 2.0)
        slept(world)
    for _ in range(3):
        started(world, 0.1)
        slept(world)
    assert world.vassal.slow_imports == ()
    started(world, 0.1)
    assert not world.launcher.last.is_measured


def test_the_start_after_a_failed_one_is_measured() -> None:
    world = World()
    world.hit()
    world.launcher.last.exits("exit status 22")
    assert not world.launcher.last.is_measured
    world.clock.advance(400)
    started(world, 0.1)
    assert world.launcher.last.is_measured
    assert world.vassal.slow_imports == (), "it was not slow"
