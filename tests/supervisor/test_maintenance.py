"""A vassal in maintenance answers nobody, and nothing but its end lets the app start again."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest

from emperor.model.lifecycle import Event
from emperor.model.posture import Connections
from emperor.model.spec import Activation, Spec
from emperor.supervisor.maintenance import Maintenance
from emperor.supervisor.records import OrderStatus
from tests.eventually import eventually_async
from tests.supervisor.fake_store import FakeNote
from tests.supervisor.world import SPEC, World

ALWAYS = replace(SPEC, idle=0)
SOCKET = replace(SPEC, activation=Activation.SOCKET)


def order(world: World, event: Event) -> OrderStatus | None:
    """What came of an order, None while it is under way."""
    outcome = world.governor.order(world.vassal, event, f"emperorctl {event.value}")
    return outcome.result().status if outcome.done() else None


def begin(world: World) -> None:
    assert order(world, Event.MAINTENANCE_ON) is OrderStatus.DONE


@pytest.mark.parametrize("spec", [SPEC, SOCKET])
def test_no_visitor_wakes_an_app_in_maintenance(spec: Spec) -> None:
    world = World(spec)
    begin(world)
    world.hit()
    world.listener.connect()
    assert world.listener.answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 60" in world.listener.answer
    assert (world.state, world.launcher.started) == ("parked", [])
    assert world.listener.barred


def test_an_app_that_runs_finishes_its_requests_first() -> None:
    world = World()
    process, served = world.run(), world.listener
    outcome = world.governor.order(world.vassal, Event.MAINTENANCE_ON, "emperorctl")
    assert (world.state, served.barred, served.watched) == ("stopping", True, False)
    assert not served.is_shut, "the app still holds this listener"
    world.hit()
    process.exits()
    assert (world.state, outcome.result().status) == ("parked", OrderStatus.DONE)
    assert served.is_shut, "what is queued is answered"
    assert world.listener is not served
    assert (world.listener.barred, world.listener.watched) == (True, True)


@pytest.mark.parametrize("event", [Event.START, Event.RESTART])
def test_an_order_to_start_fails_in_maintenance(event: Event) -> None:
    world = World()
    begin(world)
    outcome = world.governor.order(world.vassal, event, "emperorctl").result()
    assert outcome.status is OrderStatus.FAILED
    assert "emperorctl maintenance a.example off" in outcome.why
    assert order(world, Event.IDLE) is OrderStatus.DONE


def test_a_pending_start_is_dropped() -> None:
    world = World()
    process = world.run()
    world.governor.order(world.vassal, Event.RESTART, "emperorctl")
    begun = world.governor.order(world.vassal, Event.MAINTENANCE_ON, "emperorctl")
    process.exits()
    assert begun.done()
    assert (world.state, len(world.launcher.started)) == ("parked", 1)


def test_a_throttle_ends_and_failures_are_forgotten() -> None:
    world = World()
    world.hit()
    world.launcher.last.exits("exit status 22")
    assert world.state == "throttled"
    begin(world)
    assert (world.state, world.clock.pending) == ("parked", 0)
    assert order(world, Event.MAINTENANCE_OFF) is OrderStatus.DONE
    assert world.vassal.consecutive_failures == 0
    world.hit()
    assert world.state == "starting"


def test_the_end_of_maintenance_lets_connections_wake_again() -> None:
    world = World(SOCKET)
    begin(world)
    assert order(world, Event.MAINTENANCE_OFF) is OrderStatus.DONE
    assert world.vassal.posture.connections is Connections.WAKE
    assert not world.listener.barred
    world.listener.connect()
    assert world.state == "starting"


def test_an_end_while_the_app_still_stops_lets_it_wake() -> None:
    world = World()
    process = world.run()
    world.governor.order(world.vassal, Event.MAINTENANCE_ON, "emperorctl")
    world.governor.order(world.vassal, Event.MAINTENANCE_OFF, "emperorctl")
    assert (world.state, world.listener.watched) == ("stopping", True)
    world.hit()
    assert world.state == "starting"
    process.exits()
    assert len(world.launcher.started) == 2


def test_an_app_that_never_sleeps_starts_after_maintenance() -> None:
    world = World(ALWAYS)
    process = world.launcher.last
    process.accepts()
    world.governor.order(world.vassal, Event.MAINTENANCE_ON, "emperorctl")
    process.exits()
    assert world.state == "parked"
    world.crash()
    assert world.state == "parked"
    order(world, Event.MAINTENANCE_OFF)
    assert world.state == "starting"


def test_an_order_to_sleep_ends_with_the_maintenance() -> None:
    world = World(ALWAYS)
    world.launcher.last.accepts()
    world.governor.order(world.vassal, Event.IDLE, "emperorctl")
    world.launcher.last.exits()
    order(world, Event.MAINTENANCE_OFF)
    assert world.state == "parked", "there was no maintenance to end"
    begin(world)
    order(world, Event.MAINTENANCE_OFF)
    assert world.state == "starting"


@pytest.mark.parametrize("spec", [SPEC, SOCKET, ALWAYS])
def test_maintenance_outlasts_a_crash_and_an_orderly_stop(spec: Spec) -> None:
    world = World(spec)
    world.governor.order(world.vassal, Event.MAINTENANCE_ON, "emperorctl")
    for process in world.launcher.started:
        process.exits()
    world.crash()
    assert (world.state, world.vassal.in_maintenance) == ("parked", True)
    assert (world.listener.watched, world.listener.barred) == (True, True)
    began = world.governor.maintenance.since("a.example")
    world.governor.dismiss("a.example")
    world.governor = world.another_governor()
    world.governor.admit(world.spec)
    vassal = world.governor.vassals["a.example"]
    assert (vassal.in_maintenance, vassal.state.value) == (True, "parked")
    assert world.governor.maintenance.since("a.example") == began


def test_a_crash_between_note_and_order_goes_on_with_the_note() -> None:
    world = World()
    world.run()
    world.note.kept = {"a.example": world.governor.wall(world.clock.now)}
    world.crash()
    assert (world.state, world.vassal.in_maintenance) == ("stopping", True)


def test_a_note_that_is_lost_ends_no_maintenance() -> None:
    world = World()
    begin(world)
    world.note.kept = {}
    world.crash()
    assert world.vassal.in_maintenance
    assert world.governor.maintenance.since("a.example")


def test_an_order_that_cannot_be_noted_changes_nothing() -> None:
    world = World()
    world.run()
    world.note.problem = OSError(28, "No space left on device", "/run/maintenance")
    with pytest.raises(OSError, match="No space"):
        world.governor.order(world.vassal, Event.MAINTENANCE_ON, "emperorctl")
    assert (world.state, world.vassal.in_maintenance) == ("running", False)


def test_a_changed_ini_does_not_end_maintenance() -> None:
    world = World()
    begin(world)
    world.governor.revise(replace(SPEC, backlog=7))
    assert order(world, Event.REVISED) is OrderStatus.DONE
    assert (world.state, world.listener.barred) == ("parked", True)
    world.listener.in_place = False
    world.hit()
    assert world.listener.in_place
    assert world.listener.barred, "a socket that is bound again is barred, too"


class SlowNote(FakeNote):
    """Takes as long for each writing as the test likes."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()
        self.writings: list[set[str]] = []

    def write(self, domains: Mapping[str, datetime]) -> None:
        self.writings.append(set(domains))
        self.goes_on.wait()
        super().write(domains)


async def test_orders_are_written_together_and_the_loop_goes_on() -> None:
    note = SlowNote()
    maintenance = Maintenance(note, lambda: datetime.now(UTC))
    orders = [
        ("a", Event.MAINTENANCE_ON),
        ("b", Event.MAINTENANCE_ON),
        ("a", Event.MAINTENANCE_OFF),
    ]
    writing = [asyncio.ensure_future(maintenance.write_down(*order)) for order in orders[:1]]
    await eventually_async(lambda: note.writings == [{"a"}])
    writing += [asyncio.ensure_future(maintenance.write_down(*order)) for order in orders[1:]]
    await asyncio.sleep(0)
    assert maintenance.since("a") is None, "it is not written yet"
    note.goes_on.set()
    await asyncio.gather(*writing)
    assert (note.writings, set(note.kept)) == ([{"a"}, {"b"}], {"b"})
    assert maintenance.since("a") is None
    assert maintenance.since("b") is not None


async def test_orders_that_cannot_be_written_change_nothing() -> None:
    note = FakeNote()
    note.problem = OSError(28, "No space left on device", "maintenance")
    maintenance = Maintenance(note, lambda: datetime.now(UTC))
    orders = (maintenance.write_down(domain, Event.MAINTENANCE_ON) for domain in "ab")
    results = await asyncio.gather(*orders, return_exceptions=True)
    assert results == [note.problem, note.problem]
    assert maintenance.since("a") is maintenance.since("b") is None
    note.problem = None
    await maintenance.write_down("a", Event.MAINTENANCE_ON)
    assert set(note.kept) == {"a"}


async def test_a_fault_in_writing_holds_up_no_later_order() -> None:
    note = FakeNote()
    maintenance = Maintenance(note, lambda: datetime.now(UTC))
    note.problem = ValueError("a fault")
    with pytest.raises(ValueError, match="a fault"):
        await maintenance.write_down("a", Event.MAINTENANCE_ON)
    assert maintenance.since("a") is None
    note.problem = None
    await maintenance.write_down("a", Event.MAINTENANCE_ON)
    assert set(note.kept) == {"a"}


async def test_the_note_has_when_the_maintenance_began() -> None:
    note = FakeNote()
    moments = (datetime.fromtimestamp(second, UTC) for second in count())
    maintenance = Maintenance(note, lambda: next(moments))
    await maintenance.write_down("a", Event.MAINTENANCE_ON)
    assert note.kept == {"a": maintenance.since("a")}
