"""Failed starts are throttled, and a process that hangs is killed at its deadline."""

from dataclasses import replace

import pytest

from emperor.model.lifecycle import Event
from emperor.model.ports import Message
from tests.supervisor.fake_launcher import FakeOptions
from tests.supervisor.world import SPEC, World


def test_each_failed_start_doubles_the_throttle() -> None:
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


def test_a_failed_start_replaces_the_socket() -> None:
    world = World()
    world.hit()
    old = world.listener
    world.launcher.last.exits("exit status 22")
    assert old.is_shut, "a process that escaped may have it"
    assert old.closed
    assert world.listener is not old
    assert world.listener.watched


def test_a_throttled_app_bars_its_door_until_the_next_try() -> None:
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


def test_a_failed_spawn_leaves_the_old_one_in_service() -> None:
    world = World()
    world.run()
    world.launcher.problem = "cannot run it"
    world.governor.revise(SPEC)
    assert world.state == "running"
    assert "cannot run it" in (world.vassal.last_error or "")


def test_a_fault_at_a_start_is_a_failed_start(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.launcher.fault = RuntimeError("a bug")
    world.hit()
    assert world.state == "throttled"
    assert world.vassal.last_error == "a fault in emperord; its log has the traceback"
    assert caplog.records[0].exc_info
    assert caplog.messages[0] == "a.example: a fault in emperord; the others go on"
    world.launcher.fault = None
    world.clock.advance(400)
    world.hit()
    assert world.state == "starting"


def test_a_fault_before_a_spawn_is_a_failed_start() -> None:
    world = World()
    world.listener.fault = RuntimeError("a bug")
    world.hit()
    assert world.state == "throttled"


def test_a_fault_at_a_reload_leaves_the_old_one_in_service() -> None:
    world = World()
    old = world.run()
    world.launcher.fault = RuntimeError("a bug")
    world.governor.revise(SPEC)
    assert world.state == "running"
    assert "a fault in emperord" in (world.vassal.last_error or "")
    old.exits()
    assert world.state == "parked"


def test_a_fault_while_it_is_throttled_does_not_keep_it_so() -> None:
    world = World()
    world.hit()
    world.listeners.fault = RuntimeError("a bug")
    world.launcher.last.exits("exit status 22")
    assert world.state == "throttled"
    world.clock.advance(400)
    assert world.state == "parked"


def test_an_app_that_dies_soon_is_throttled() -> None:
    world = World()
    world.run().exits("killed by SIGSEGV")
    assert world.state == "parked"
    world.hit()
    world.launcher.last.accepts()
    world.clock.advance(9.9)
    world.launcher.last.exits("killed by SIGSEGV")
    assert world.state == "throttled"
    assert world.vassal.last_stop is not None
    assert world.vassal.last_stop.why == "killed by SIGSEGV"


def test_an_app_that_does_harm_is_killed_and_has_failed() -> None:
    """However long it has served, so that its next start is throttled."""
    world = World()
    process = world.run()
    world.governor.on_misuse("a.example", "it does harm")
    world.governor.on_misuse("a.example", "it does harm again")
    world.governor.on_misuse("unknown.example", "it does harm")
    assert world.actions.count(f"kill {process.pid}") == 1
    process.exits("killed by SIGKILL")
    assert world.state == "throttled"
    assert world.vassal.last_error == "it does harm; killed by SIGKILL"
    assert world.vassal.consecutive_failures == 1


def test_a_hanging_boot_is_killed_and_the_reason_reported() -> None:
    world = World()
    world.hit()
    world.clock.advance(60)
    assert world.actions == ["spawn 100", "kill 100"]
    assert world.state == "starting"
    world.launcher.last.exits("killed by SIGKILL")
    assert world.state == "throttled"
    assert world.vassal.last_error == "did not accept within 60 s; killed by SIGKILL"


def test_a_worker_that_missed_the_order_to_stop_is_reminded() -> None:
    world = World()
    process = world.run()
    world.governor.order(world.vassal, Event.IDLE, "emperorctl stop")
    process.says(Message.ACCEPTING)
    assert world.actions[-2:] == ["stop 100", "remind 100"]
    assert world.state == "stopping"


def test_an_app_that_does_not_stop_is_killed_at_its_deadline() -> None:
    world = World()
    process = world.run()
    process.says(Message.IDLE)
    world.clock.advance(60)
    assert world.actions[-1] == "kill 100"
    process.exits("killed by SIGKILL")
    assert world.state == "parked"


@pytest.mark.parametrize(
    ("reports_loading", "loaded", "end"),
    [(True, False, "kill 100"), (True, True, "stop 100"), (False, False, "stop 100")],
)
def test_an_unwanted_boot_is_killed_unless_it_may_accept(
    reports_loading: bool, loaded: bool, end: str
) -> None:
    world = World(replace(SPEC, runtime=FakeOptions(reports_loading=reports_loading)))
    world.hit()
    if loaded:
        world.launcher.last.says(Message.LOADED)
    world.governor.order(world.vassal, Event.IDLE, "emperorctl stop")
    assert world.actions[-1] == end
    world.launcher.last.exits()
    assert world.state == "parked"


def test_an_ini_mended_during_a_hanging_boot_boots_at_once() -> None:
    world = World()
    world.hit()
    world.governor.revise(replace(SPEC, idle=5))
    world.launcher.last.exits("killed by SIGKILL")
    assert world.state == "starting"
    assert world.launcher.last.spec.idle == 5
    assert world.vassal.last_error is None


def test_the_apps_own_error_counts_more_than_a_failed_bind() -> None:
    world = World()
    world.hit()
    world.listeners.problem = "cannot listen: no room"
    world.launcher.last.exits("exit status 22")
    assert world.vassal.last_error == "exit status 22"
