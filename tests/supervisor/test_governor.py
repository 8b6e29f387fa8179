"""What the governor does at each event: removals, late messages, illegal events, notifications."""

from dataclasses import replace

import pytest

from emperor.model.cause import Cause
from emperor.model.lifecycle import Event
from emperor.model.policy import MOST_RESPAWNS
from emperor.model.ports import CannotListen, Message, WorkerDeath
from emperor.model.spec import Stamp
from emperor.model.status import ReportedState
from emperor.supervisor.records import Occurrence
from tests.supervisor.world import SPEC, World

STAMP = Stamp(1, 2, 3, 0, 0)


def test_removal_stops_then_closes_and_forgets() -> None:
    world = World()
    process = world.run()
    world.governor.dismiss("a.example")
    assert world.actions[-2:] == ["close", "stop 100"]
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
    old.says(Message.IDLE)
    world.hit()
    new = world.launcher.last
    new.accepts()
    world.governor.dismiss("a.example")
    new.exits()
    assert world.governor.vassals.get("a.example") is not None
    old.exits()
    assert world.governor.vassals.get("a.example") is None


def test_an_ini_that_comes_back_ends_the_removal() -> None:
    world = World()
    process = world.run()
    world.governor.dismiss("a.example")
    world.governor.revise(SPEC)
    assert world.state == "stopping"
    process.exits()
    assert world.state == "parked"
    assert not world.listener.closed
    assert world.listener.watched


def test_other_settings_are_no_event_of_an_app_that_sleeps() -> None:
    world = World()
    world.governor.revise(SPEC, STAMP)
    told, recorded = [], len(world.recorder.events)
    world.governor.subscribers.add("a.example", lambda: told.append(world.vassal.spec.idle))
    world.governor.revise(replace(SPEC, idle=5), STAMP)
    assert (told, len(world.recorder.events)) == ([5], recorded)
    world.crash()
    assert world.vassal.spec.idle == 5
    world.governor.revise(replace(SPEC, idle=5), Stamp(1, 2, 4, 0, 0))
    assert world.recorder.events[-1].event is Event.REVISED


def test_an_app_that_sleeps_follows_settings_beyond_the_daemon() -> None:
    world = World()
    told: list[float] = []
    world.governor.subscribers.add("a.example", lambda: told.append(world.vassal.spec.stop_timeout))
    world.governor.follow(world.vassal, replace(SPEC, stop_timeout=5.0))
    assert told == [5.0]
    world.crash()
    assert world.vassal.spec == replace(SPEC, stop_timeout=5.0)
    assert world.state == "parked"


def test_other_settings_reload_an_app_that_runs() -> None:
    world = World()
    world.governor.revise(SPEC, STAMP)
    world.run()
    world.governor.revise(replace(SPEC, idle=5), STAMP)
    assert world.state == "reloading"


def test_messages_of_an_earlier_process_are_ignored() -> None:
    world = World()
    old = world.run()
    old.says(Message.IDLE)
    world.hit()
    old.says(Message.ACCEPTING, Message.IDLE)
    assert world.state == "starting"
    old.exits()
    old.exits()
    assert world.state == "starting"


def test_why_a_worker_died_is_told_while_the_app_runs() -> None:
    world = World()
    process = world.run()
    process.death = WorkerDeath("worker 1 (pid 7) was killed by SIGKILL")
    process.says(Message.ACCEPTING)
    assert world.state == "running"
    assert world.vassal.last_error == "worker 1 (pid 7) was killed by SIGKILL"


def test_a_respawned_worker_changes_nothing() -> None:
    world = World()
    process = world.run()
    recorded = len(world.recorder.events)
    process.says(Message.ACCEPTING, Message.FIRST_REPLY)
    assert world.state == "running"
    assert len(world.recorder.events) == recorded


def test_a_worker_that_dies_as_soon_as_it_accepts_is_a_failure() -> None:
    world = World()
    world.hit()
    process = world.launcher.last
    process.accepts()
    process.says(*[Message.ACCEPTING] * 4)
    assert "kill 100" not in world.actions
    process.says(Message.ACCEPTING)
    assert world.actions[-1] == "kill 100"
    process.exits("killed by SIGKILL")
    assert world.state == "throttled"
    assert "its worker died 5 times" in (world.vassal.last_error or "")


def test_a_worker_that_dies_before_it_accepts_is_a_failure() -> None:
    world = World()
    world.hit()
    process = world.launcher.last
    world.governor.on_printed("a.example")
    world.governor.on_printed("unknown.example")
    assert "kill 100" not in world.actions
    process.workers_die = True
    world.governor.on_printed("a.example")
    world.governor.on_printed("a.example")
    assert world.actions.count("kill 100") == 1
    process.exits("killed by SIGKILL")
    assert world.state == "throttled"
    assert "its worker died again and again and never accepted" in (world.vassal.last_error or "")


def test_once_it_has_accepted_its_log_does_not_end_an_app() -> None:
    world = World()
    world.run().workers_die = True
    world.governor.on_printed("a.example")
    assert "kill 100" not in world.actions
    assert world.state == "running"


def test_an_illegal_event_changes_nothing_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.governor.handle(
        Occurrence(world.vassal, Event.PARDON, Cause("the end of a throttle", world.clock.time()))
    )
    assert world.state == "parked"
    assert "cannot take 'pardon' while parked" in caplog.text


def test_a_listener_that_cannot_be_made_admits_nothing() -> None:
    world = World()
    world.listeners.problem = "cannot bind"
    with pytest.raises(CannotListen, match="cannot bind"):
        world.governor.admit(replace(SPEC, domain="b.example"))
    assert world.governor.vassals.get("b.example") is None


def test_subscribers_hear_of_every_change_until_they_leave() -> None:
    world = World()
    seen: list[str] = []

    def wake() -> None:
        seen.append(world.state)

    world.governor.subscribers.add("a.example", wake)
    assert world.governor.subscribers.count("a.example") == 1
    world.hit()
    world.launcher.last.accepts()
    world.governor.subscribers.remove("a.example", wake)
    world.launcher.last.says(Message.IDLE)
    assert seen == ["starting", "running"]
    assert world.governor.subscribers.count("a.example") == 0


def test_each_transition_is_recorded_once_with_its_cause() -> None:
    world = World()
    process = world.run()
    process.says(Message.IDLE)
    process.exits()
    parked, starting = ReportedState.PARKED, ReportedState.STARTING
    running, stopping = ReportedState.RUNNING, ReportedState.STOPPING
    assert [(each.before, each.after, each.detail) for each in world.recorder.events] == [
        (parked, starting, "hit from 203.0.113.9"),
        (starting, running, "pid 100 accepts, 0.000 s after the demand"),
        (running, stopping, "idle"),
        (stopping, parked, "exit status 0"),
    ]


def test_restart_stops_fully_before_it_starts() -> None:
    world = World()
    process = world.run()
    world.governor.order(world.vassal, Event.RESTART, "emperorctl restart")
    assert world.actions[-2:] == ["close", "stop 100"]
    process.exits()
    assert world.state == "starting"
    assert world.vassal.last_boot is not None
    assert world.vassal.last_boot.cause.by == "emperorctl restart"


def test_a_stop_cancels_a_restart() -> None:
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


def test_a_repeated_message_is_not_saved_again() -> None:
    world = World()
    process = world.run()
    process.says(Message.FIRST_REPLY, *[Message.ACCEPTING] * MOST_RESPAWNS)
    writes = world.store.writes
    process.says(*[Message.LOADED, Message.FIRST_REPLY, Message.ACCEPTING] * 10)
    assert world.store.writes == writes
    assert world.state == "running"


# A fault of emperord in one vassal.


def test_a_fault_in_one_vassal_does_not_keep_others_from_a_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    other = world.add("b.example")
    world.run()
    world.hit(other)
    world.launcher.last.accepts()
    world.listener.fault = RuntimeError("a bug")
    world.governor.dismiss_all(world.governor.vassals, "emperord stops")
    assert other.state.value == "removed"
    assert "stop 101" in world.actions
    assert "a.example: a fault in emperord; the others go on" in caplog.messages
    assert len(world.governor.vassals) == 1, "a stop waits for its exit"
    assert "kill 100" in world.actions
