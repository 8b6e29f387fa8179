"""A process that has left its process group is still in its control group."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from emperor.linux.cgroup import service_groups
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


SERVICE = "/system.slice/emperord.service"
CGROUP = "/sys/fs/cgroup"
OPTIONS = "ro,nosuid,nodev,noexec,relatime"
# systemd 257: a service with ProtectControlGroups= under cgroup v2.
V2 = f"""\
828 822 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:140 - proc proc rw
829 822 0:38 / {CGROUP} {OPTIONS} shared:144 master:129 - cgroup2 cgroup rw
853 829 0:38 {SERVICE}/memory.pressure {CGROUP}{SERVICE}/memory.pressure rw,nosuid,nodev,noexec,\
relatime shared:145 master:129 - cgroup2 cgroup rw
"""
# The same in a container that sees the host's hierarchy from its own group on.
PART = V2.replace(" / ", " /machine.slice ", 2).replace(f" {SERVICE}", f" /machine.slice{SERVICE}")
# systemd 252: v1, with v2 beside it.
HYBRID = f"""\
703 696 0:95 / {CGROUP} ro,nosuid,nodev,noexec shared:102 - tmpfs tmpfs ro,mode=755
708 703 0:36 / {CGROUP}/pids {OPTIONS} shared:107 master:83 - cgroup cgroup rw,pids
712 703 0:37 / {CGROUP}/systemd {OPTIONS} shared:111 master:86 - cgroup cgroup rw,name=systemd
713 703 0:38 / {CGROUP}/unified {OPTIONS} shared:112 master:87 - cgroup2 cgroup rw
"""
ESCAPED = rf"829 822 0:38 /a\134x2db /mnt/the\040groups {OPTIONS} - cgroup2 cgroup rw"


@pytest.mark.parametrize(
    ("groups", "mounts", "found"),
    [
        (f"0::{SERVICE}\n", V2, [f"{CGROUP}{SERVICE}"]),
        (f"0::/machine.slice{SERVICE}\n", PART, [f"{CGROUP}{SERVICE}"]),
        (f"9:name=systemd:{SERVICE}\n8:pids:{SERVICE}\n0::/\n", HYBRID,
         [f"{CGROUP}/systemd{SERVICE}"]),
        (f"9:name=systemd:{SERVICE}\n0::{SERVICE}\n", HYBRID,
         [f"{CGROUP}/systemd{SERVICE}", f"{CGROUP}/unified{SERVICE}"]),
        (r"0::/a\x2db/c.service", ESCAPED, ["/mnt/the groups/c.service"]),
        ("0::/user.slice/session-1.scope\n", V2, []),
        (f"0::{SERVICE}\n", "", []),
    ],
    ids=["v2", "container", "v1", "hybrid", "escaped", "no service", "no mount"],
)  # fmt: skip
def test_a_group_is_found_by_the_root_of_its_mount(
    groups: str, mounts: str, found: list[str]
) -> None:
    assert list(service_groups(groups, mounts)) == [Path(path) for path in found]
