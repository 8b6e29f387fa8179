"""A changed ini boots a successor beside the old process, and no process is lost or left over."""

from dataclasses import replace

from emperor.model.lifecycle import Event
from emperor.model.spec import OnChange
from tests.supervisor.world import SPEC, World


def test_an_ini_that_changes_does_not_wake_a_sleeping_app() -> None:
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
    assert world.actions == ["spawn 100", "open", "spawn 101", "stop 100"]
    old.exits()
    assert world.vassal.lead is not None
    assert world.vassal.lead.process.pid == 101
    assert world.vassal.last_boot is world.vassal.lead.boot


def test_a_broken_successor_leaves_the_old_one_in_service() -> None:
    world = World()
    world.run()
    world.governor.revise(replace(SPEC, idle=5))
    world.launcher.last.exits("ImportError")
    assert world.state == "running"
    assert world.listener.door_open
    assert world.vassal.last_error is not None
    assert "old one serves on: ImportError" in world.vassal.last_error
    assert world.vassal.lead
    assert world.vassal.last_boot is world.vassal.lead.boot, "`why` shows the serving process"
    assert world.actions[-1] == "spawn 101", "the old process goes on"
    assert [each.event for each in world.recorder.warnings] == [Event.SECOND_EXITED]


def test_a_successor_that_hangs_is_killed_at_its_deadline() -> None:
    world = World()
    world.run()
    world.governor.revise(SPEC)
    world.clock.advance(59.9)
    assert "kill 101" not in world.actions
    world.clock.advance(0.2)
    assert world.actions[-1] == "kill 101"
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
    assert world.actions[-1] == "kill 101", "it cannot have accepted anything"
    abandoned.exits("killed by SIGKILL")
    assert world.state == "reloading"
    assert world.launcher.last.spec.idle == 6
    world.launcher.last.accepts()
    assert world.state == "running"
    assert world.vassal.last_error is None


def test_a_revision_waits_for_a_stopping_predecessor() -> None:
    world = World()
    old = world.run()
    world.governor.revise(replace(SPEC, idle=5))
    world.launcher.last.accepts()
    world.governor.revise(replace(SPEC, idle=6))
    assert len(world.launcher.started) == 2
    old.exits()
    assert len(world.launcher.started) == 3
    assert world.state == "reloading"


def test_the_old_process_may_die_while_its_successor_boots() -> None:
    world = World()
    old = world.run()
    world.governor.revise(SPEC)
    old.exits("killed by SIGSEGV")
    assert world.state == "starting"
    assert not world.listener.door_open
    world.launcher.last.accepts()
    assert world.state == "running"


def test_an_app_that_cannot_run_twice_is_stopped_first() -> None:
    world = World(replace(SPEC, on_change=OnChange.RESTART))
    old = world.run()
    world.governor.revise(replace(SPEC, on_change=OnChange.RESTART, idle=5))
    assert world.state == "stopping"
    assert world.actions[-2:] == ["close", "stop 100"]
    old.exits()
    assert world.state == "starting"
