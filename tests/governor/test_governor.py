"""What the governor does to the world, event by event, with time moved by hand."""

from dataclasses import replace

import pytest

from emperor.model.lifecycle import Event
from emperor.model.policy import MOST_RESPAWNS
from emperor.model.ports import CannotListen, News
from emperor.model.vassal import Adoption, Reload, Spec
from tests.governor.fakes import World

SPEC = Spec("a.example", "a.example.ini", "/s/a.example/socket")


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
    assert world.diary == ["spawn 100"]


def test_the_door_opens_when_the_app_accepts_and_not_before() -> None:
    world = World()
    world.hit()
    world.launcher.last.says(News.LOADED)
    assert not world.listener.door_open
    world.launcher.last.says(News.ACCEPTING)
    assert world.listener.door_open
    assert world.state == "running"
    assert not world.clock.pending, "a running app needs no timer of ours"


def test_an_idle_app_finds_the_door_closed_before_it_is_asked_to_stop() -> None:
    world = World()
    process = world.run()
    process.says(News.IDLE)
    assert world.diary == ["spawn 100", "open", "close", "drain 100"]
    assert world.state == "stopping"
    process.exits()
    assert world.state == "parked"
    assert world.listener.watched
    assert not world.clock.pending


def test_a_hit_in_an_idle_stop_starts_the_successor_at_once() -> None:
    world = World()
    old = world.run()
    old.says(News.IDLE)
    world.hit()
    assert world.state == "starting"
    world.launcher.last.accepts()
    assert world.state == "running"
    old.exits()
    assert world.state == "running"
    assert world.diary == ["spawn 100", "open", "close", "drain 100", "spawn 101", "open"]


def test_a_hit_in_an_idle_stop_waits_for_an_app_that_cannot_run_twice() -> None:
    world = World(replace(SPEC, reload=Reload.RESTART))
    old = world.run()
    old.says(News.IDLE)
    world.listener.connect()
    assert world.state == "stopping"
    assert not world.listener.watched, "a pending connection would spin the loop"
    old.exits()
    assert world.state == "starting"
    assert len(world.launcher.started) == 2


def test_only_two_processes_ever_exist() -> None:
    world = World()
    first = world.run()
    first.says(News.IDLE)
    world.hit()
    second = world.launcher.last
    second.accepts()
    second.says(News.IDLE)
    world.hit()
    assert len(world.launcher.started) == 2, "the first still drains"
    first.exits()
    assert len(world.launcher.started) == 3
    assert world.state == "starting"


def test_an_ini_that_changes_while_its_app_sleeps_does_not_wake_it() -> None:
    world = World()
    world.governor.revise(replace(SPEC, idle=5))
    assert world.state == "parked"
    assert not world.launcher.started
    world.hit()
    assert world.launcher.last.spec.idle == 5


def test_a_reload_has_no_gap() -> None:
    world = World()
    old = world.run()
    world.governor.revise(replace(SPEC, idle=5))
    assert world.state == "reloading"
    assert world.listener.door_open
    new = world.launcher.last
    new.accepts()
    assert world.state == "running"
    assert world.diary == ["spawn 100", "open", "spawn 101", "drain 100"]
    old.exits()
    assert world.vassal.lead is not None
    assert world.vassal.lead.process.pid == 101
    assert world.vassal.last_boot is world.vassal.lead.boot


def test_a_broken_successor_leaves_the_old_one_in_service_and_says_why() -> None:
    world = World()
    world.run()
    world.governor.revise(replace(SPEC, idle=5))
    world.launcher.last.exits("ImportError")
    assert world.state == "running"
    assert world.listener.door_open
    assert world.vassal.last_error is not None
    assert "old one serves on: ImportError" in world.vassal.last_error
    assert world.vassal.lead
    assert world.vassal.last_boot is world.vassal.lead.boot, "`why` tells of the one that serves"
    assert world.diary[-1] == "spawn 101", "nothing was asked of the old one"
    assert [worry.event for worry in world.recorder.worries] == ["second exited"]


def test_a_successor_that_hangs_is_killed_at_its_deadline() -> None:
    world = World()
    world.run()
    world.governor.revise(SPEC)
    world.clock.advance(59.9)
    assert "kill 101" not in world.diary
    world.clock.advance(0.2)
    assert world.diary[-1] == "kill 101"
    assert world.state == "reloading", "only its exit leaves the state"
    world.launcher.last.exits("killed by SIGKILL")
    assert world.state == "running"
    assert "did not accept within 60 s" in (world.vassal.last_error or "")


def test_a_second_revision_during_a_reload_boots_the_newest() -> None:
    world = World()
    world.run()
    world.governor.revise(replace(SPEC, idle=5))
    abandoned = world.launcher.last
    world.governor.revise(replace(SPEC, idle=6))
    assert world.diary[-1] == "kill 101", "it cannot have accepted anything"
    abandoned.exits("killed by SIGKILL")
    assert world.state == "reloading"
    assert world.launcher.last.spec.idle == 6
    world.launcher.last.accepts()
    assert world.state == "running"
    assert world.vassal.last_error is None


def test_a_revision_while_a_predecessor_drains_waits_for_its_end() -> None:
    world = World()
    old = world.run()
    world.governor.revise(replace(SPEC, idle=5))
    world.launcher.last.accepts()
    world.governor.revise(replace(SPEC, idle=6))
    assert len(world.launcher.started) == 2
    old.exits()
    assert len(world.launcher.started) == 3
    assert world.state == "reloading"


def test_the_old_one_may_die_while_its_successor_boots() -> None:
    world = World()
    old = world.run()
    world.governor.revise(SPEC)
    old.exits("killed by SIGSEGV")
    assert world.state == "starting"
    assert not world.listener.door_open
    world.launcher.last.accepts()
    assert world.state == "running"


def test_an_app_that_cannot_run_twice_is_stopped_first() -> None:
    world = World(replace(SPEC, reload=Reload.RESTART))
    old = world.run()
    world.governor.revise(replace(SPEC, reload=Reload.RESTART, idle=5))
    assert world.state == "stopping"
    assert world.diary[-2:] == ["close", "drain 100"]
    old.exits()
    assert world.state == "starting"


def test_a_failed_start_throttles_doubling_and_a_hit_is_ignored_meanwhile() -> None:
    world = World()
    delays = []
    for _ in range(10):
        world.hit()
        world.launcher.last.exits("exit status 22")
        assert world.state == "throttled"
        world.hit()
        assert world.vassal.retry_at is not None
        delays.append(world.vassal.retry_at - world.clock.now)
        world.clock.advance(delays[-1])
        assert world.state == "parked"
    assert len(world.launcher.started) == 10
    for failures, delay in enumerate(delays):
        nominal = min(180.0, 2.0**failures)
        assert 0.8 * nominal <= delay <= 1.2 * nominal


def test_a_failed_start_takes_what_may_have_escaped_out_of_play() -> None:
    world = World()
    world.hit()
    had = world.listener
    world.launcher.last.exits("exit status 22")
    assert had.is_shut
    assert had.closed
    assert world.listener is not had
    assert world.listener.watched


def test_a_throttled_app_bars_its_door_until_it_may_be_tried_again() -> None:
    world = World()
    world.hit()
    world.launcher.last.exits("exit status 22")
    assert world.listener.barred
    world.clock.advance(400)
    assert world.state == "parked"
    assert not world.listener.barred


def test_connections_are_refused_while_throttled() -> None:
    world = World()
    world.hit()
    world.launcher.last.exits("exit status 22")
    world.listener.connect()
    assert world.listener.refused == 1
    assert world.state == "throttled"


@pytest.mark.parametrize("pardon", ["revised", "start", "restart"])
def test_a_mended_ini_or_the_operator_pardons_at_once(pardon: str) -> None:
    world = World()
    for _ in range(5):
        world.hit()
        world.launcher.last.exits("exit status 22")
        world.clock.advance(400)
    world.hit()
    world.launcher.last.exits("exit status 22")
    if pardon == "revised":
        world.governor.revise(replace(SPEC, idle=5))
        world.hit()
    else:
        world.governor.order(world.vassal, Event[pardon.upper()], "emperorctl")
    assert world.state == "starting"
    assert world.vassal.failures(world.clock.now) == 0
    assert world.vassal.retry_at is None


def test_a_program_that_cannot_be_spawned_is_a_failed_start() -> None:
    world = World()
    world.launcher.problem = "cannot run /nowhere/uwsgi: no such file"
    world.hit()
    assert world.state == "throttled"
    assert world.vassal.last_error == "cannot run /nowhere/uwsgi: no such file"


def test_a_successor_that_cannot_be_spawned_leaves_the_old_one_in_service() -> None:
    world = World()
    world.run()
    world.launcher.problem = "cannot run it"
    world.governor.revise(SPEC)
    assert world.state == "running"
    assert "cannot run it" in (world.vassal.last_error or "")


def test_an_app_that_dies_soon_is_throttled_and_one_that_served_long_is_not() -> None:
    world = World()
    world.run().exits("killed by SIGSEGV")
    assert world.state == "parked"
    world.hit()
    world.launcher.last.accepts()
    world.clock.advance(9.9)
    world.launcher.last.exits("killed by SIGSEGV")
    assert world.state == "throttled"
    assert world.vassal.slept is not None
    assert world.vassal.slept[1] == "killed by SIGSEGV"


def test_a_boot_that_hangs_is_killed_and_its_blame_is_told() -> None:
    world = World()
    world.hit()
    world.clock.advance(60)
    assert world.diary == ["spawn 100", "kill 100"]
    assert world.state == "starting"
    world.launcher.last.exits("killed by SIGKILL")
    assert world.state == "throttled"
    assert world.vassal.last_error == "did not accept within 60 s; killed by SIGKILL"


def test_a_worker_that_accepts_while_its_app_drains_has_missed_the_order() -> None:
    world = World()
    process = world.run()
    world.governor.order(world.vassal, Event.IDLE, "emperorctl stop")
    process.says(News.ACCEPTING)
    assert world.diary[-2:] == ["drain 100", "remind 100"]
    assert world.state == "stopping"


def test_an_app_that_does_not_drain_is_killed_at_its_deadline() -> None:
    world = World()
    process = world.run()
    process.says(News.IDLE)
    world.clock.advance(60)
    assert world.diary[-1] == "kill 100"
    process.exits("killed by SIGKILL")
    assert world.state == "parked"


@pytest.mark.parametrize(
    ("adoption", "loaded", "end"),
    [
        (Adoption.BY_FD, False, "kill 100"),
        (Adoption.BY_FD, True, "drain 100"),
        (Adoption.BY_NAME, False, "drain 100"),
    ],
)
def test_an_unwanted_boot_is_killed_only_if_it_cannot_have_accepted(
    adoption: Adoption, loaded: bool, end: str
) -> None:
    world = World(replace(SPEC, adoption=adoption))
    world.hit()
    if loaded:
        world.launcher.last.says(News.LOADED)
    world.governor.order(world.vassal, Event.IDLE, "emperorctl stop")
    assert world.diary[-1] == end
    world.launcher.last.exits()
    assert world.state == "parked"


def test_an_ini_that_is_mended_during_a_hanging_boot_is_booted_at_once() -> None:
    world = World()
    world.hit()
    world.governor.revise(replace(SPEC, idle=5))
    world.launcher.last.exits("killed by SIGKILL")
    assert world.state == "starting"
    assert world.launcher.last.spec.idle == 5
    assert world.vassal.last_error is None


def test_removal_drains_then_closes_and_forgets() -> None:
    world = World()
    process = world.run()
    world.governor.dismiss("a.example")
    assert world.diary[-2:] == ["close", "drain 100"]
    assert world.governor.vassals.serving("a.example") is None
    assert not world.listener.closed
    process.exits()
    assert world.listeners.made[0].closed
    assert world.governor.vassals.get("a.example") is None
    assert not world.clock.pending


def test_removal_of_a_sleeping_vassal_is_immediate() -> None:
    world = World()
    world.governor.dismiss("a.example")
    assert world.listeners.made[0].closed
    assert len(world.governor.vassals) == 0


def test_removal_waits_for_a_predecessor_too() -> None:
    world = World()
    old = world.run()
    old.says(News.IDLE)
    world.hit()
    new = world.launcher.last
    new.accepts()
    world.governor.dismiss("a.example")
    new.exits()
    assert world.governor.vassals.get("a.example") is not None
    old.exits()
    assert world.governor.vassals.get("a.example") is None


def test_an_ini_that_comes_back_before_the_end_is_a_reprieve() -> None:
    world = World()
    process = world.run()
    world.governor.dismiss("a.example")
    world.governor.revise(SPEC)
    assert world.state == "stopping"
    process.exits()
    assert world.state == "parked"
    assert not world.listener.closed
    assert world.listener.watched


def test_what_an_earlier_spawn_says_is_dropped() -> None:
    world = World()
    old = world.run()
    old.says(News.IDLE)
    world.hit()
    old.says(News.ACCEPTING, News.IDLE)
    assert world.state == "starting"
    old.exits()
    old.exits()
    assert world.state == "starting"


def test_a_respawned_worker_changes_nothing() -> None:
    world = World()
    process = world.run()
    told = len(world.recorder.told)
    process.says(News.ACCEPTING, News.LOYAL)
    assert world.state == "running"
    assert len(world.recorder.told) == told


def test_a_worker_that_dies_as_soon_as_it_accepts_is_a_failure() -> None:
    world = World()
    world.hit()
    process = world.launcher.last
    process.accepts()
    process.says(*[News.ACCEPTING] * 4)
    assert "kill 100" not in world.diary
    process.says(News.ACCEPTING)
    assert world.diary[-1] == "kill 100"
    process.exits("killed by SIGKILL")
    assert world.state == "throttled"
    assert "its worker died 5 times" in (world.vassal.last_error or "")


def test_a_socket_that_uwsgi_replaced_is_never_opened_and_is_bound_again() -> None:
    world = World()
    world.hit()
    world.listener.in_place = False
    world.launcher.last.accepts()
    assert world.diary == ["spawn 100", "kill 100"]
    world.launcher.last.exits("killed by SIGKILL")
    assert world.state == "throttled"
    assert "was replaced while the app started" in (world.vassal.last_error or "")
    assert len(world.listeners.made) == 2
    assert world.listeners.made[0].closed


def test_a_socket_that_was_taken_away_is_bound_again_and_the_app_reloaded() -> None:
    world = World()
    world.run()
    world.listener.in_place = False
    world.governor.restore_listeners()
    assert world.state == "reloading"
    assert world.listeners.made[-1].door_open


def test_a_hit_on_an_app_whose_socket_was_taken_away_has_it_bound_again_at_once() -> None:
    world = World()
    world.run()
    world.listener.in_place = False
    world.hit()
    assert world.state == "reloading"
    assert world.listeners.made[-1].door_open


def test_a_hit_on_a_sleeping_app_whose_socket_was_taken_away_starts_it_on_a_new_one() -> None:
    world = World()
    world.listener.in_place = False
    world.hit()
    assert world.listeners.made[0].closed
    assert (world.state, world.diary) == ("starting", ["spawn 100"])


def test_a_connection_that_still_came_to_a_socket_that_was_taken_away_is_kept_for_the_app() -> None:
    world = World()
    world.listener.in_place = False
    world.listener.connect()
    assert world.state == "starting"
    assert not world.listener.closed


def test_a_hit_leaves_a_socket_to_be_judged_that_went_while_the_app_boots() -> None:
    world = World()
    world.hit()
    world.listener.in_place = False
    world.hit()
    assert len(world.listeners.made) == 1


def test_a_socket_that_cannot_be_bound_again_is_not_tried_at_every_hit() -> None:
    world = World()
    world.listener.in_place = False
    world.listeners.problem = "no room"
    world.hit()
    world.listeners.problem = None
    world.hit()
    assert len(world.listeners.made) == 1
    world.governor.restore_listeners()
    assert len(world.listeners.made) == 2


def test_a_successor_on_a_socket_that_was_taken_away_is_started_again_on_the_new_one() -> None:
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
    assert world.diary.count("spawn 102") == 1


def test_an_illegal_event_changes_nothing_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.governor.pardon(world.vassal)
    assert world.state == "parked"
    assert "cannot take 'pardon' while parked" in caplog.text


def test_a_listener_that_cannot_be_made_admits_nothing() -> None:
    world = World()
    world.listeners.problem = "cannot bind"
    with pytest.raises(CannotListen, match="cannot bind"):
        world.governor.admit(replace(SPEC, domain="b.example"))
    assert world.governor.vassals.get("b.example") is None


def test_those_who_wait_are_woken_by_every_change_until_they_leave() -> None:
    world = World()
    seen: list[str] = []

    def wake() -> None:
        seen.append(world.state)

    world.governor.waiters.add("a.example", wake)
    assert world.governor.waiters.count("a.example") == 1
    world.hit()
    world.launcher.last.accepts()
    world.governor.waiters.remove("a.example", wake)
    world.launcher.last.says(News.IDLE)
    assert seen == ["starting", "running"]
    assert world.governor.waiters.count("a.example") == 0


def test_each_transition_is_told_once_with_its_cause() -> None:
    world = World()
    process = world.run()
    process.says(News.IDLE)
    process.exits()
    assert [(told.before, told.after, told.detail) for told in world.recorder.told] == [
        ("parked", "starting", "hit from 203.0.113.9"),
        ("starting", "running", "pid 100 accepts, 0.000 s after the demand"),
        ("running", "stopping", "idle"),
        ("stopping", "parked", "exit status 0"),
    ]


def test_restart_stops_fully_before_it_starts() -> None:
    world = World()
    process = world.run()
    world.governor.order(world.vassal, Event.RESTART, "emperorctl restart")
    assert world.diary[-2:] == ["close", "drain 100"]
    process.exits()
    assert world.state == "starting"
    assert world.vassal.last_boot is not None
    assert world.vassal.last_boot.cause.by == "emperorctl restart"


def test_stop_calls_a_restart_off() -> None:
    world = World()
    process = world.run()
    world.governor.order(world.vassal, Event.RESTART, "emperorctl restart")
    world.governor.order(world.vassal, Event.IDLE, "emperorctl stop")
    process.exits()
    assert world.state == "parked"


def test_a_host_is_found_by_its_aliases() -> None:
    world = World(replace(SPEC, aliases=("www.a.example",)))
    assert world.governor.vassals.serving("www.a.example") is world.vassal
    world.governor.revise(replace(SPEC, aliases=("b.a.example",)))
    assert world.governor.vassals.serving("www.a.example") is None
    assert world.governor.vassals.serving("b.a.example") is world.vassal
    world.governor.dismiss("a.example")
    assert world.governor.vassals.serving("b.a.example") is None


def test_what_an_app_says_again_and_again_is_not_kept_again() -> None:
    world = World()
    process = world.run()
    process.says(News.LOYAL, *[News.ACCEPTING] * MOST_RESPAWNS)
    kept = world.store.puts
    process.says(*[News.LOADED, News.LOYAL, News.ACCEPTING] * 10)
    assert world.store.puts == kept
    assert world.state == "running"


# A fault of ours in one of them.


def test_a_fault_over_one_vassal_keeps_nobody_else_from_a_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    other = world.add("b.example")
    world.run()
    world.hit(other)
    world.launcher.last.accepts()
    world.listener.fault = RuntimeError("a bug")
    world.governor.dismiss_all("emperord stops")
    assert other.state.value == "removed"
    assert world.diary[-1] == "drain 101"
    assert "a.example: a fault in emperord; the others go on" in caplog.messages
