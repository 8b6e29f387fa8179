"""A socket whose path was taken away, or replaced, is bound again at the right moment."""

import pytest

from emperor.model.policy import BIND_AGAIN_SECONDS
from tests.supervisor.world import World


def test_a_socket_that_uwsgi_replaced_is_never_opened() -> None:
    world = World()
    world.hit()
    world.listener.in_place = False
    world.launcher.last.accepts()
    assert world.actions == ["spawn 100", "kill 100"]
    world.launcher.last.exits("killed by SIGKILL")
    assert world.state == "throttled"
    assert "was replaced while the app started" in (world.vassal.last_error or "")
    assert len(world.listeners.made) == 2
    assert world.listeners.made[0].closed


def test_a_socket_taken_away_is_bound_again_and_reloaded() -> None:
    world = World()
    world.run()
    world.listener.in_place = False
    world.governor.restore_listeners(world.governor.vassals)
    assert world.state == "reloading"
    assert world.listeners.made[-1].door_open


def test_a_hit_binds_a_socket_again_that_was_taken_away() -> None:
    world = World()
    world.run()
    world.listener.in_place = False
    world.hit()
    assert world.state == "reloading"
    assert world.listeners.made[-1].door_open


def test_a_hit_starts_a_sleeping_app_on_a_new_socket() -> None:
    world = World()
    world.listener.in_place = False
    world.hit()
    assert world.listeners.made[0].closed
    assert (world.state, world.actions) == ("starting", ["spawn 100"])


def test_a_connection_on_a_socket_taken_away_is_kept() -> None:
    world = World()
    world.listener.in_place = False
    world.listener.connect()
    assert world.state == "starting"
    assert not world.listener.closed


def test_a_socket_lost_during_a_boot_is_judged_afterwards() -> None:
    world = World()
    world.hit()
    world.listener.in_place = False
    world.hit()
    assert len(world.listeners.made) == 1


def test_a_bind_that_fails_is_not_tried_at_every_hit() -> None:
    world = World()
    world.listener.in_place = False
    world.listeners.problem = "no room"
    world.hit()
    world.listeners.problem = None
    world.hit()
    assert len(world.listeners.made) == 1
    world.governor.restore_listeners(world.governor.vassals)
    assert len(world.listeners.made) == 2


def test_a_bind_that_failed_is_tried_by_a_hit_seconds_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.run()
    world.listener.in_place = False
    world.listeners.problem = "cannot listen on /s/a.example/socket: No space left on device"
    world.hit()
    world.clock.advance(BIND_AGAIN_SECONDS + 0.1)
    world.hit()
    assert caplog.messages.count(f"a.example: {world.listeners.problem}") == 1, (
        "the problem is logged once"
    )
    world.listeners.problem = None
    world.hit()
    assert world.listener.fd < 0, "it is too soon for another bind"
    world.clock.advance(BIND_AGAIN_SECONDS)
    world.hit()
    assert world.state == "reloading"
    world.launcher.last.accepts()
    assert world.state == "running"
    assert world.listener.door_open


def test_a_successor_on_a_lost_socket_starts_again() -> None:
    world = World()
    old = world.run()
    world.governor.revise(world.spec)
    successor = world.launcher.last
    world.listener.in_place = False
    old.exits("killed by SIGKILL")
    assert world.state == "stopping"
    assert len(world.listeners.made) == 2
    successor.exits("killed by SIGKILL")
    assert world.state == "starting"
    world.launcher.last.accepts()
    assert world.state == "running"
    assert world.actions.count("spawn 102") == 1
