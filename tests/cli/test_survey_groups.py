"""What `emperorctl doctor` finds out about control groups: machines that their files describe."""

from pathlib import Path

import pytest

from emperor.cli.survey_groups import cannot_yield, controllers

RUN = Path("/run/emperord")
PID = 77
ALL = frozenset({"cpu", "io", "memory", "pids"})


class Machine:
    """Its /proc and /sys/fs/cgroup, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.groups = folder / "cgroup"
        self.pressure = folder / "pressure"
        self.pressure.touch()
        (self.proc / str(PID)).mkdir(parents=True)
        (self.proc / str(PID) / "root").symlink_to("/")
        self._mounts: list[str] = []

    def mount(self, name: str, kind: str, options: str) -> None:
        (self.groups / name).mkdir(parents=True)
        place = self.groups / name
        self._mounts.append(f"30 29 0:26 / {place} rw - {kind} {kind} {options}\n")
        self._write("self/mountinfo", "".join(self._mounts))
        self._write(f"{PID}/mountinfo", "".join(self._mounts))

    def write(self, path: str, text: str = "") -> None:
        """A file of a control group."""
        file = self.groups / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def is_in(self, groups: str) -> None:
        """The daemon and doctor are in these groups."""
        self._write("self/cgroup", groups)
        self._write(f"{PID}/cgroup", groups)

    def _write(self, path: str, text: str) -> None:
        file = self.proc / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_v2_hands_down_what_a_group_of_apps_has(machine: Machine) -> None:
    machine.mount("", "cgroup2", "rw")
    machine.is_in("0::/system.slice/emperord.service\n")
    machine.write("cgroup.controllers", "cpuset cpu io memory pids")
    assert controllers(RUN, None, machine.proc) == ALL
    apps = "system.slice/emperord-apps.service"
    machine.write(f"{apps}/cgroup.subtree_control", "cpu memory")
    assert controllers(RUN, PID, machine.proc) == {"cpu", "memory"}


def test_v2_hands_down_nothing_from_a_group_with_processes(machine: Machine) -> None:
    """A daemon that was started by hand, or whose emperord-apps.service does not run."""
    machine.mount("", "cgroup2", "rw")
    for own in ("user.slice/session-1.scope", "system.slice/emperord.service"):
        machine.is_in(f"0::/{own}\n")
        machine.write(f"{own}/cgroup.type", "domain")
        machine.write(f"{own}/cgroup.controllers", "cpu io memory pids")
        machine.write(f"{own}/cgroup.subtree_control", "")
        assert controllers(RUN, PID, machine.proc) == frozenset()
    machine.is_in("0::/\n")
    machine.write("cgroup.controllers", "cpu io memory pids")
    assert controllers(RUN, PID, machine.proc) == ALL, "the root group can be told to"


def test_v1_has_what_is_mounted(machine: Machine) -> None:
    """A container may see no hierarchy that its kernel has."""
    machine.is_in("4:memory:/\n3:pids:/\n2:cpu,cpuacct:/\n1:blkio:/\n")
    machine.mount("cpu,cpuacct", "cgroup", "rw,cpu,cpuacct")
    machine.mount("pids", "cgroup", "rw,pids")
    for pid in (None, PID):
        assert controllers(RUN, pid, machine.proc) == {"cpu", "pids"}


def test_a_machine_without_control_groups_has_no_controller(machine: Machine) -> None:
    assert controllers(RUN, None, machine.proc) == frozenset()
    assert "cpu.idle" in cannot_yield(machine.proc, machine.pressure)


@pytest.mark.parametrize(
    ("mounts", "is_told"),
    [
        (["cpu,cpuacct"], True),
        (["cpu", "cpuacct"], False),
        (["cpu"], False),
        (["cpu", "cpuacct", "v2"], True),
    ],
)
def test_v1_yields_where_cpu_and_cpuacct_are_mounted_together(
    machine: Machine, mounts: list[str], is_told: bool
) -> None:
    for each in mounts:
        machine.mount(each, "cgroup2" if each == "v2" else "cgroup", f"rw,{each}")
    assert "cpu.idle" in cannot_yield(machine.proc, machine.pressure)
    machine.write(f"{mounts[0]}/apps/cpu.idle", "0")
    why = cannot_yield(machine.proc, machine.pressure)
    assert ("cpu and cpuacct are not mounted together" in why) is not is_told
    machine.pressure.unlink()
    assert "does not tell who waits" in cannot_yield(machine.proc, machine.pressure)
