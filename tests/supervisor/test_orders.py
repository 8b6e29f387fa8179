"""An order of the operator gets its outcome when the vassal has no more work to do."""

from concurrent.futures import Future

import pytest

from emperor.model.lifecycle import Event
from emperor.supervisor.records import OrderOutcome, OrderStatus
from tests.supervisor.world import World


def order(world: World, event: Event) -> Future[OrderOutcome]:
    return world.governor.order(world.vassal, event, "emperorctl")


@pytest.mark.parametrize(
    ("awake", "event"),
    [
        (False, Event.IDLE),
        (False, Event.REVISED),
        (True, Event.START),
    ],
)
def test_an_order_with_nothing_to_do_is_done_at_once(awake: bool, event: Event) -> None:
    world = World()
    if awake:
        world.run()
    assert order(world, event).result(0) == OrderOutcome(OrderStatus.DONE)


def test_a_start_is_done_when_the_app_accepts() -> None:
    world = World()
    started = order(world, Event.START)
    assert not started.done()
    world.launcher.last.accepts()
    assert started.result(0) == OrderOutcome(OrderStatus.DONE)


def test_a_start_waits_for_its_turn_to_boot_too() -> None:
    world = World(None, max_starting="1")
    world.hit(world.add("b.example"))
    first = world.launcher.last
    started = order(world, Event.START)
    assert not started.done()
    first.accepts()
    world.launcher.last.accepts()
    assert started.result(0) == OrderOutcome(OrderStatus.DONE)


@pytest.mark.parametrize("event", [Event.START, Event.RESTART])
def test_a_failed_start_tells_why(event: Event) -> None:
    world = World()
    started = order(world, event)
    world.launcher.last.exits("exit status 22")
    assert started.result(0) == OrderOutcome(OrderStatus.FAILED, "exit status 22")


def test_a_start_that_cannot_be_spawned_tells_why() -> None:
    world = World()
    world.launcher.problem = "cannot spawn uwsgi: no such file"
    outcome = order(world, Event.START).result(0)
    assert outcome == OrderOutcome(OrderStatus.FAILED, "cannot spawn uwsgi: no such file")


def test_an_earlier_failure_is_not_that_of_the_order() -> None:
    world = World()
    world.hit()
    world.launcher.last.exits("exit status 22")
    started = order(world, Event.START)
    world.launcher.last.accepts()
    assert started.result(0) == OrderOutcome(OrderStatus.DONE)


def test_a_restart_is_done_when_the_new_process_accepts() -> None:
    world = World()
    process = world.run()
    restarted = order(world, Event.RESTART)
    process.exits()
    assert not restarted.done()
    world.launcher.last.accepts()
    assert restarted.result(0) == OrderOutcome(OrderStatus.DONE)


def test_a_failed_successor_says_that_the_old_process_serves() -> None:
    world = World()
    world.run()
    reloaded = order(world, Event.REVISED)
    world.launcher.last.exits("exit status 22")
    outcome = reloaded.result(0)
    assert outcome.status is OrderStatus.FAILED
    assert outcome.why == "the new version did not start, the old one serves on: exit status 22"


def test_a_sleep_is_done_when_the_process_is_gone() -> None:
    world = World()
    process = world.run()
    asleep = order(world, Event.IDLE)
    assert not asleep.done()
    process.exits()
    assert asleep.result(0) == OrderOutcome(OrderStatus.DONE)


def test_a_sleep_of_an_app_that_fails_is_done() -> None:
    world = World()
    world.hit()
    asleep = order(world, Event.IDLE)
    world.launcher.last.exits("exit status 1")
    assert asleep.result(0) == OrderOutcome(OrderStatus.DONE)


def test_an_order_for_a_vassal_that_goes_tells_why() -> None:
    world = World()
    started = order(world, Event.START)
    world.governor.dismiss("a.example", "its ini is gone")
    assert started.result(0) == OrderOutcome(OrderStatus.GONE, "its ini is gone")


def test_two_orders_at_once_have_the_same_outcome() -> None:
    world = World()
    both = [order(world, Event.START), order(world, Event.START)]
    world.launcher.last.exits("exit status 22")
    assert [each.result(0).status for each in both] == [OrderStatus.FAILED] * 2


def test_a_cancelled_order_does_no_harm() -> None:
    world = World()
    started = order(world, Event.START)
    assert started.cancel()
    world.launcher.last.accepts()
    assert world.state == "running"


def test_an_order_that_a_fault_ends_has_an_outcome_too() -> None:
    world = World()
    world.listener.fault = RuntimeError("a bug")
    outcome = order(world, Event.START).result(0)
    assert outcome == OrderOutcome(
        OrderStatus.FAILED, "a fault in emperord; its log has the traceback"
    )


def test_a_reload_that_succeeds_is_done_though_the_old_one_died() -> None:
    world = World()
    old = world.run()
    reloaded = order(world, Event.REVISED)
    old.exits("killed by SIGKILL")
    world.launcher.last.accepts()
    assert reloaded.result(0) == OrderOutcome(OrderStatus.DONE)


@pytest.mark.parametrize("is_booting", [False, True])
def test_a_fresh_restart_has_another_listener_and_kills(is_booting: bool) -> None:
    world = World()
    if is_booting:
        world.hit()
    else:
        world.run()
    process, old = world.launcher.last, world.listener
    world.governor.kill_and_rebind(world.vassal)
    restarted = order(world, Event.RESTART)
    assert f"kill {process.pid}" in world.actions
    assert old.is_shut
    assert world.listener is not old
    process.exits("killed by SIGKILL")
    assert world.launcher.last is not process
    world.launcher.last.accepts()
    assert restarted.result(0) == OrderOutcome(OrderStatus.DONE)
    assert world.state == "running"


def test_a_fresh_restart_wakes_an_app_that_sleeps() -> None:
    world = World()
    old = world.listener
    world.governor.kill_and_rebind(world.vassal)
    restarted = order(world, Event.RESTART)
    world.launcher.last.accepts()
    assert restarted.result(0) == OrderOutcome(OrderStatus.DONE)
    assert world.listener is not old
