"""emperorctl and the real emperord understand each other."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend import Daemon
from tests.cli.conftest import listing
from tests.cli.program import ENVIRONMENT, command, finished
from tests.eventually import PATIENCE_SECONDS, eventually

GOOD = "good.example"
BROKEN = "broken.example"
REFUSED = "refused.example"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with an app that serves, one that cannot start, and an ini that is refused."""
    with Daemon(tmp_path, throttle_first="60") as running:
        running.expect(BROKEN)
        running.expect(REFUSED)
        running.add(GOOD)
        running.add(BROKEN, "nosuch.py")
        running.drop(REFUSED, "no ini at all")
        eventually(lambda: "not served" in _ctl(running, "status")[1])
        yield running


def _ctl(daemon: Daemon, *arguments: str) -> tuple[int, str, str]:
    result = finished(daemon.run_dir, *arguments)
    return result.returncode, result.stdout, result.stderr


def test_an_app_is_woken_looked_at_and_put_to_sleep(daemon: Daemon) -> None:
    assert "2 parked" in _ctl(daemon, "status")[1]
    status, out, _ = _ctl(daemon, "start", GOOD)
    assert status == 0
    assert out.startswith(f"{GOOD}: running (pid ")
    assert "emperorctl start by uid 0\n" in _ctl(daemon, "why", GOOD)[1]
    assert "spawned uWSGI" in _ctl(daemon, "logs", "-n", "99", GOOD)[1]
    assert "1 running, 1 parked" in _ctl(daemon, "status")[1]
    for action in ("reload", "restart"):
        assert _ctl(daemon, action, GOOD)[1].startswith(f"{GOOD}: running (pid ")
    assert _ctl(daemon, "sleep", GOOD) == (0, f"{GOOD}: parked\n", "")
    assert "emperorctl sleep by uid 0\n" in _ctl(daemon, "why", GOOD)[1]


def test_what_fails_is_told_with_its_cause_and_an_exit_status(daemon: Daemon) -> None:
    status, out, err = _ctl(daemon, "start", GOOD, BROKEN, REFUSED)
    assert status == 1
    assert out.startswith(f"{GOOD}: running")
    assert f"cannot start {BROKEN}" in err
    assert f"{REFUSED}.ini: there is no section [uwsgi]" in err
    assert "nosuch.py" in _ctl(daemon, "why", BROKEN)[1]
    assert f"{BROKEN} (the next visitor" in _ctl(daemon, "status")[1]
    assert _ctl(daemon, "start", "nobody.example")[0] == 3
    assert _ctl(daemon, "why", REFUSED)[0] == 1


def test_a_machine_is_drained_seen_to_drain_and_taken_back(daemon: Daemon, tmp_path: Path) -> None:
    assert _ctl(daemon, "drain")[1].startswith("Draining since ")
    assert _ctl(daemon, "status")[1].splitlines()[1].startswith("draining for ")
    assert _ctl(daemon, "undrain")[1].startswith("Serving.")
    assert "draining" not in _ctl(daemon, "status")[1]
    fleet = listing(tmp_path / "fleet.lua", "192.0.2.11", "192.0.2.12")
    result = _ctl(daemon, "plan", "--backends", str(fleet), str(fleet))
    assert result == (0, "0 of 2 domains (0 %) would move.\n", "")


def test_events_begin_with_past_ones_and_end_with_the_daemon(
    daemon: Daemon,
) -> None:
    _ctl(daemon, "start", GOOD)
    with subprocess.Popen(
        command(daemon.run_dir, "events", "-n", "1"),
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as events:  # fmt: skip
        assert events.stdout is not None
        assert events.stderr is not None
        try:
            assert f"{GOOD}: starting → running, accepting" in events.stdout.readline()
            _ctl(daemon, "sleep", GOOD)
            assert (
                f"{GOOD}: running → stopping, idle: emperorctl sleep by uid 0"
                in events.stdout.readline()
            )
            assert daemon.stop() == 0
            assert events.wait(PATIENCE_SECONDS) == 4
            assert events.stderr.read().startswith("emperorctl: ")
        finally:
            events.kill()
