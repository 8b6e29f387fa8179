"""A new version of an ini that does not start gives way to the last version that did."""

from dataclasses import replace

import pytest

from emperor.model.lifecycle import Event
from emperor.model.spec import Identity, OnChange, Spec, Stamp
from emperor.supervisor.records import OrderStatus
from tests.supervisor.fake_launcher import FakeProcess
from tests.supervisor.world import SPEC, World

NEWER = replace(SPEC, idle=5)
GOOD_TEXT, NEWER_TEXT = b"[uwsgi]\nfile = a.py\n", b"[uwsgi]\nfile = a.p\n"


def stamp(version: int, uid: int = 0) -> Stamp:
    return Stamp(version, version * 10**9, 10, uid, 0)


def world_of(spec: Spec = SPEC) -> World:
    """A vassal whose first version has accepted, and sleeps."""
    world = World(spec)
    world.governor.revise(spec, stamp(1), GOOD_TEXT)
    world.run().exits()
    assert world.state == "parked"
    return world


def change(world: World, spec: Spec = NEWER, version: int = 2) -> None:
    world.governor.revise(spec, stamp(version), NEWER_TEXT)


def fail(world: World) -> FakeProcess:
    """Let the process that boots fail, and return the one that boots then."""
    failed = world.launcher.last
    failed.exits("exit status 22")
    return world.launcher.last


def in_effect(world: World) -> tuple[Spec, Stamp | None, bytes]:
    return world.vassal.spec, world.vassal.stamp, world.vassal.text


GOOD, NEW = (SPEC, stamp(1), GOOD_TEXT), (NEWER, stamp(2), NEWER_TEXT)


def test_after_a_nap_the_good_version_boots_at_once() -> None:
    world = world_of()
    change(world)
    world.hit()
    listener = world.listener
    process = fail(world)
    assert (world.state, process.spec, in_effect(world)) == ("starting", SPEC, GOOD)
    assert world.launcher.text == GOOD_TEXT
    assert world.listener is listener, "connections wait in its queue"
    assert world.vassal.retry_at is None
    process.accepts()
    assert world.state == "running"
    assert world.vassal.consecutive_failures == 0


def test_one_line_tells_what_failed_and_what_serves() -> None:
    world = world_of()
    change(world)
    world.hit()
    fail(world).accepts()
    _nap, line = [event.detail for event in world.recorder.warnings]
    assert line.startswith("the new version did not start: exit status 22; it was written at 19")
    assert line.endswith(" is in effect")


def test_with_on_change_restart_the_good_version_boots_again() -> None:
    single = replace(SPEC, on_change=OnChange.RESTART)
    world = world_of(single)
    old = world.run()
    change(world, replace(NEWER, on_change=OnChange.RESTART))
    old.exits()
    fail(world).accepts()
    assert (world.state, world.vassal.spec) == ("running", single)


def test_a_failed_successor_does_not_boot_at_the_next_wake() -> None:
    world = world_of()
    old = world.run()
    change(world)
    fail(world)
    assert (world.state, in_effect(world)) == ("running", GOOD)
    old.exits()
    world.hit()
    assert world.launcher.last.spec == SPEC


def test_a_socket_that_the_failed_version_took_is_bound_anew() -> None:
    world = world_of()
    change(world)
    world.hit()
    world.listener.in_place = False
    fail(world).accepts()
    assert (world.state, world.vassal.spec) == ("running", SPEC)
    assert world.listener.in_place


def test_a_failed_spawn_is_tried_once_with_each_version() -> None:
    world = world_of()
    change(world)
    world.launcher.problem = "cannot spawn"
    world.hit()
    assert (world.state, in_effect(world)) == ("throttled", NEW)


def test_both_versions_fail_once_and_are_throttled_then() -> None:
    world = world_of()
    change(world)
    world.hit()
    fail(world)
    fail(world)
    assert (world.state, in_effect(world)) == ("throttled", NEW)
    assert world.vassal.consecutive_failures == 1
    for failures in (2, 3):
        world.clock.advance(400)
        world.hit()
        assert world.launcher.last.spec == NEWER
        fail(world)
        assert world.state == "throttled"
        assert world.vassal.consecutive_failures == failures
    assert len(world.launcher.started) == 5


def test_without_an_older_version_a_failure_is_throttled() -> None:
    world = World()
    world.governor.revise(SPEC, stamp(1), GOOD_TEXT)
    change(world)
    world.hit()
    fail(world)
    assert (world.state, in_effect(world)) == ("throttled", NEW)


def test_the_last_version_that_accepted_is_the_good_one() -> None:
    world = world_of()
    change(world)
    world.run().exits()
    assert world.vassal.good is None
    change(world, replace(SPEC, idle=6), version=3)
    change(world, replace(SPEC, idle=7), version=4)
    world.hit()
    fail(world)
    assert in_effect(world) == NEW


@pytest.mark.parametrize("event", [Event.START, Event.RESTART, Event.REVISED])
def test_an_order_tries_the_newest_version_again(event: Event) -> None:
    world = world_of()
    change(world)
    world.hit()
    good = fail(world)
    good.accepts()
    world.clock.advance(60)
    if event is not Event.REVISED:
        good.exits()
    order = world.governor.order(world.vassal, event, "emperorctl")
    assert world.launcher.last.spec == NEWER
    fail(world)
    if event is not Event.REVISED:
        assert world.launcher.last.spec == SPEC
        world.launcher.last.accepts()
    assert (world.state, in_effect(world)) == ("running", GOOD)
    assert order.result().status is OrderStatus.FAILED
    assert "exit status 22" in order.result().why


def test_a_start_of_an_app_that_serves_tries_nothing() -> None:
    world = world_of()
    change(world)
    world.hit()
    fail(world).accepts()
    world.governor.order(world.vassal, Event.START, "emperorctl")
    assert in_effect(world) == GOOD


def test_a_mended_ini_is_in_effect_at_once() -> None:
    world = world_of()
    change(world)
    world.hit()
    fail(world).accepts()
    world.clock.advance(60)
    change(world, replace(SPEC, idle=6), version=3)
    world.launcher.last.accepts()
    assert world.vassal.spec.idle == 6
    assert (world.vassal.good, world.vassal.failed) == (None, None)


def test_other_settings_do_not_try_the_failed_version() -> None:
    world = world_of()
    change(world)
    world.hit()
    fail(world).accepts()
    started = len(world.launcher.started)
    change(world, replace(NEWER, backlog=7, aliases=("b.example",)))
    assert (world.state, len(world.launcher.started)) == ("running", started)
    assert world.vassal.spec == replace(SPEC, aliases=("b.example",))
    assert world.vassal.failed and world.vassal.failed.version.spec.backlog == 7


@pytest.mark.parametrize("steps", range(16))
def test_a_fallback_outlives_crashes(steps: int) -> None:
    world = world_of()
    change(world)
    world.crash()
    world.hit()
    failing = world.launcher.last
    world.actions.steps_left = steps
    try:
        failing.exits("exit status 22")
    except BaseException as error:
        assert type(error).__name__ == "Crash"
    world.crash()
    assert (world.state, in_effect(world)) == ("starting", GOOD)
    world.launcher.last.accepts()
    world.crash()
    assert world.vassal.failed and world.vassal.failed.version.stamp == stamp(2)
    assert world.vassal.failed.why == "the new version did not start: exit status 22"


def test_further_names_follow_the_newest_version() -> None:
    world = world_of(replace(SPEC, aliases=("old.example",)))
    change(world, replace(NEWER, aliases=("new.example",)))
    world.hit()
    fail(world)
    assert world.vassal.spec == replace(SPEC, aliases=("new.example",))
    assert world.listener.spec == world.vassal.spec
    assert world.governor.vassals.serving("new.example") is world.vassal
    assert world.governor.vassals.serving("old.example") is None


@pytest.mark.parametrize(
    ("good", "newer", "uid", "reason"),
    [
        (replace(SPEC, foreign_sockets=("/s/x",)), NEWER, 0,
         "it has the socket /s/x, which the new one has given up"),
        (replace(SPEC, identity=Identity(1, 1, "a")), NEWER, 0, "it ran as another user"),
        (replace(SPEC, drops_to="uid = a"), NEWER, 0, "it ran as another user"),
        (SPEC, NEWER, 1000, "the ini had another owner"),
    ],
)  # fmt: skip
def test_what_another_may_have_by_now_is_not_taken_back(
    good: Spec, newer: Spec, uid: int, reason: str
) -> None:
    world = world_of(good)
    world.governor.revise(newer, stamp(2, uid), NEWER_TEXT)
    world.hit()
    fail(world)
    assert (world.state, world.vassal.spec) == ("throttled", newer)
    assert (world.vassal.last_error or "").endswith(f"the last good version is not used: {reason}")


def test_a_failed_successor_tells_why_the_good_one_is_lost() -> None:
    world = world_of(replace(SPEC, foreign_sockets=("/s/x",)))
    world.run()
    change(world)
    fail(world)
    assert world.state == "running"
    assert "the last good version is not used: it has the socket /s/x" in str(
        world.vassal.last_error
    )


def test_the_same_text_written_again_is_no_newer_version() -> None:
    world = world_of()
    world.governor.revise(SPEC, stamp(2), GOOD_TEXT)
    world.hit()
    fail(world)
    assert world.state == "throttled"
