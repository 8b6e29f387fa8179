"""A process that has left its process group is still in its control group."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from tests.eventually import eventually
from tests.linux.control_groups import HIERARCHIES, in_group, members, removed, run_in
from tests.traces import PREFIX


@pytest.fixture(params=HIERARCHIES, ids=str)
def group(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A control group named as that of a service, in each hierarchy that systemd may use."""
    group = Path(request.param, f"{PREFIX}{uuid4().hex}.service")
    group.mkdir()
    yield group
    eventually(partial(removed, group), what=f"{group} is empty")


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
