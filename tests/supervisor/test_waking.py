"""A sleeping vassal wakes and falls asleep again, and its door is open only while it accepts."""

from dataclasses import replace

import pytest

from emperor.model.lifecycle import Event
from emperor.model.ports import Message
from emperor.model.spec import OnChange
from tests.supervisor.world import SPEC, World


def test_a_sleeping_vassal_is_a_watched_socket_and_nothing_else() -> None:
    world = World()
    assert world.state == "parked"
    assert world.listener.watched
    assert not world.listener.door_open
    assert not world.launcher.started
    assert not world.clock.pending


@pytest.mark.parametrize("way", ["hit", "connection", "start"])
def test_each_kind_of_demand_wakes_it(way: str) -> None:
    world = World()
    if way == "hit":
        world.hit()
    elif way == "connection":
        world.listener.connect()
    else:
        world.governor.order(world.vassal, Event.START, "emperorctl start")
    assert world.state == "starting"
    assert not world.listener.watched, "its connections are the app's now"


def test_many_hits_make_one_start() -> None:
    world = World()
    for _ in range(100):
        world.hit()
    assert world.actions == ["spawn 100"]


def test_the_door_opens_when_the_app_accepts_and_not_before() -> None:
    world = World()
    world.hit()
    world.launcher.last.says(Message.LOADED)
    assert not world.listener.door_open
    world.launcher.last.says(Message.ACCEPTING)
    assert world.listener.door_open
    assert world.state == "running"
    assert not world.clock.pending, "a running app needs no timer of ours"


def test_the_door_closes_before_an_idle_app_is_asked_to_stop() -> None:
    world = World()
    process = world.run()
    process.says(Message.IDLE)
    assert world.actions == ["spawn 100", "open", "close", "stop 100"]
    assert world.state == "stopping"
    process.exits()
    assert world.state == "parked"
    assert world.listener.watched
    assert not world.clock.pending


def test_a_hit_in_an_idle_stop_starts_the_successor_at_once() -> None:
    world = World()
    old = world.run()
    old.says(Message.IDLE)
    world.hit()
    assert world.state == "starting"
    world.launcher.last.accepts()
    assert world.state == "running"
    old.exits()
    assert world.state == "running"
    assert world.actions == ["spawn 100", "open", "close", "stop 100", "spawn 101", "open"]


def test_a_hit_in_an_idle_stop_waits_where_apps_cannot_overlap() -> None:
    world = World(replace(SPEC, on_change=OnChange.RESTART))
    old = world.run()
    old.says(Message.IDLE)
    world.listener.connect()
    assert world.state == "stopping"
    assert not world.listener.watched, "the waiting connection would wake the loop again and again"
    old.exits()
    assert world.state == "starting"
    assert len(world.launcher.started) == 2


def test_a_start_after_a_drain_tells_when_that_ended() -> None:
    world = World(replace(SPEC, on_change=OnChange.RESTART))
    old = world.run()
    assert world.vassal.last_boot
    assert world.vassal.last_boot.cause.drained_at is None
    old.says(Message.IDLE)
    world.hit()
    began = world.clock.time()
    world.clock.advance(35)
    old.exits()
    cause = world.vassal.last_boot.cause
    assert (cause.at, cause.drained_at) == (began, began + 35)


def test_only_two_processes_ever_exist() -> None:
    world = World()
    first = world.run()
    first.says(Message.IDLE)
    world.hit()
    second = world.launcher.last
    second.accepts()
    second.says(Message.IDLE)
    world.hit()
    assert len(world.launcher.started) == 2, "the first still stops"
    first.exits()
    assert len(world.launcher.started) == 3
    assert world.state == "starting"
