"""What has left its process group is in its control group still."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from tests.eventually import eventually
from tests.traces import PREFIX

HIERARCHIES = [
    path
    for name in ("unified", "systemd", "")
    if (path := Path("/sys/fs/cgroup", name)).joinpath("cgroup.procs").exists()
]


@pytest.fixture(params=HIERARCHIES, ids=str)
def group(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A control group named as that of a service, in each hierarchy that systemd may use."""
    group = Path(request.param, f"{PREFIX}{uuid4().hex}.service")
    group.mkdir()
    yield group
    eventually(partial(removed, group), what=f"{group} is empty")


def removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:  # a process is on its way out
        return False
    return True


def in_group(group: Path, *command: str) -> "subprocess.Popen[str]":
    """Run a command in the group, and in a session of its own."""
    return subprocess.Popen(
        ["sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', str(group), *command],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def members(group: Path) -> list[str]:
    return (group / "cgroup.procs").read_text().split()


def run_in(group: Path, expression: str) -> str:
    """What a daemon in that group would see, with `group` and `os` at hand."""
    script = (
        "import os; from pathlib import Path; from emperor.linux.cgroup import *;"
        f"group = Path({str(group)!r}); print({expression})"
    )
    with in_group(group, sys.executable, "-c", script) as process:
        told, _ = process.communicate()
    assert process.returncode == 0
    return told.strip()


def test_all_others_of_the_group_are_killed_and_are_dead_then(group: Path) -> None:
    with in_group(group, "sleep", "60") as one, in_group(group, "sleep", "60") as other:
        eventually(lambda: len(members(group)) == 2)
        assert run_in(group, "kill_others(group), kill_others(group)") == "2 0"
        assert (one.poll(), other.poll()) == (-signal.SIGKILL, -signal.SIGKILL)


def test_a_stopped_and_a_forking_process_are_killed_too(group: Path) -> None:
    forker = "trap '' TERM; while :; do sleep 60 & wait -n 2>/dev/null; done"
    with in_group(group, "sleep", "60") as one, in_group(group, "bash", "-c", forker) as other:
        eventually(lambda: len(members(group)) == 3)
        one.send_signal(signal.SIGSTOP)
        assert int(run_in(group, "kill_others(group)")) >= 3
        assert (one.wait(), other.wait()) == (-signal.SIGKILL, -signal.SIGKILL)
        assert members(group) == []


def test_the_group_of_a_service_is_found_by_its_main_process(group: Path) -> None:
    ours = "service_group({'SYSTEMD_EXEC_PID': str(os.getpid())})"
    assert run_in(group, ours) == str(group)


@pytest.mark.parametrize("environment", [{}, {"SYSTEMD_EXEC_PID": "1"}, {"INVOCATION_ID": "ab"}])
def test_a_process_that_systemd_did_not_start_has_none(
    group: Path, environment: dict[str, str]
) -> None:
    assert run_in(group, f"service_group({environment})") == "None"


def test_a_group_that_is_no_services_is_left_alone(group: Path) -> None:
    scope = group / "session.scope"
    scope.mkdir()
    ours = "service_group({'SYSTEMD_EXEC_PID': str(os.getpid())})"
    assert run_in(scope, ours) == "None"
    eventually(partial(removed, scope))
