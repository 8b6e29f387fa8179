"""Control groups of apps in the real kernel: made at a start, and their end is everybody's end."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from emperor.linux import cgroup, left_memory
from emperor.linux import groups as module
from emperor.linux.group_names import group_name
from emperor.linux.groups import ControlGroup, ControlGroups, entering
from emperor.linux.hierarchies import Hierarchies, Hierarchy, prepare
from emperor.model.limit_hits import Hit, Reached
from emperor.model.limits import Limits
from emperor.model.ports import CannotLaunch
from tests.eventually import eventually, eventually_async
from tests.linux.control_groups import members, removed
from tests.traces import PREFIX

MOUNTED = Path("/sys/fs/cgroup")
V1 = {"pids": "pids", "memory": "memory", "cpu": "cpu", "io": "blkio"}
# A job that leaves the process group of its parent, in two ways, and tells when it is there.
ESCAPE = "(setsid sh -c 'echo $$; exec sleep 1000' &) & setsid sleep 1000 & sleep 1000"


def mounted_v2() -> Path | None:
    places = (MOUNTED / "unified", MOUNTED)
    return next((each for each in places if (each / "cgroup.kill").parent.is_dir()
                 and (each / "cgroup.controllers").exists()), None)  # fmt: skip


def v2(name: str) -> list[Hierarchy]:
    root = mounted_v2()
    return [Hierarchy(root / name, frozenset(), is_v2=True)] if root else []


def v1(name: str) -> list[Hierarchy]:
    return [
        Hierarchy(MOUNTED / folder / name, frozenset({controller}), is_v2=False)
        for controller, folder in V1.items()
        if (MOUNTED / folder / "cgroup.procs").exists()
    ]


NO_LIMITS = Limits()
KINDS: dict[str, Callable[[str], list[Hierarchy]]] = {
    "v2": v2,
    "v1": v1,
    "both": lambda name: [*v2(name), *v1(name)],
}


@pytest.fixture(params=list(KINDS))
def hierarchies(request: pytest.FixtureRequest) -> Iterator[Hierarchies]:
    usable = tuple(map(prepare, KINDS[request.param](f"{PREFIX}{uuid4().hex}")))
    if not usable:
        pytest.skip("this machine has no such hierarchy")
    yield Hierarchies(usable)
    for base in [each.base for each in usable]:
        eventually(partial(is_gone, base), what=str(base))


def is_gone(base: Path) -> bool:
    return not base.exists() or removed(base)


@pytest.fixture
async def groups(hierarchies: Hierarchies) -> ControlGroups:
    return groups_in(hierarchies)


def groups_in(hierarchies: Hierarchies, of_tenant: Limits = NO_LIMITS) -> ControlGroups:
    return ControlGroups(hierarchies, of_tenant, asyncio.get_running_loop())


def bases(groups: ControlGroups) -> list[Path]:
    return groups.folders(".")


def made(
    groups: ControlGroups, domain: str = "a.example", run: int = 1, limits: Limits = NO_LIMITS
) -> ControlGroup:
    group = groups.group(group_name(4321, domain, run))
    assert group
    group.make(limits)
    return group


def run_in(group: ControlGroup, script: str, nice: int | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        entering(group.entrances, (500, 600), nice, ["sh", "-c", script]),
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip


def inside(group: ControlGroup) -> list[str]:
    return members(group.groups.folders(group.name)[0])


def nothing_is_left(groups: ControlGroups) -> bool:
    return not any(list(base.glob("uid-*")) for base in bases(groups))


SWEEP = """
import asyncio, sys
from pathlib import Path
from emperor.linux.groups import ControlGroups
from emperor.linux.hierarchies import Hierarchies, Hierarchy
from emperor.model.limits import Limits

async def sweep():
    bases = [Hierarchy(Path(each), frozenset(), is_v2="v2" in sys.argv[1]) for each in sys.argv[2:]]
    ControlGroups(Hierarchies(tuple(bases)), Limits(), asyncio.get_running_loop()).sweep()

asyncio.run(sweep())
"""


async def test_another_machines_processes_live_on(groups: ControlGroups) -> None:
    """Two containers with the host's control groups have run-dirs of the same path."""
    group = made(groups)
    app = run_in(group, "exec sleep 1000")
    eventually(lambda: inside(group))
    kind = "v2" if (bases(groups)[0] / "cgroup.controllers").exists() else "v1"
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", SWEEP, kind]
    sweeping = partial(subprocess.run, [*command, str(bases(groups)[0])], check=True)
    await asyncio.to_thread(sweeping)
    assert app.poll() is None
    assert inside(group)
    group.close()
    await eventually_async(lambda: nothing_is_left(groups))
    app.communicate()


async def test_a_process_is_in_its_group_from_the_first_moment(groups: ControlGroups) -> None:
    group = made(groups)
    script = "cat /proc/self/cgroup /proc/self/oom_score_adj; env; ulimit -Sn; ulimit -Hn; nice"
    with run_in(group, script, nice=3) as process:
        told, _ = process.communicate()
    assert told.count("/uid-4321/v-a.example/1\n") == len(bases(groups))
    assert "\n100\n" in told
    # nice(1) adds to the nice value of this process, which may be run by nice itself.
    assert told.endswith(f"\n500\n600\n{min(os.nice(0) + 3, 19)}\n")
    assert "OLDPWD=" not in told
    group.close()
    await eventually_async(lambda: nothing_is_left(groups))


async def test_nothing_escapes_the_end_of_its_group(groups: ControlGroups) -> None:
    group = made(groups)
    neighbour = made(groups, "b.example", 2)
    with run_in(group, ESCAPE) as process, run_in(neighbour, "sleep 1000") as other:
        assert process.stdout and process.stdout.readline()
        eventually(lambda: len(inside(group)) >= 4 and inside(neighbour))
        group.close()
        process.wait()
        await eventually_async(lambda: not bases(groups)[0].joinpath(group.name).exists())
        assert other.poll() is None
        neighbour.close()
        await eventually_async(lambda: nothing_is_left(groups))


async def test_a_fork_bomb_ends_with_its_group(groups: ControlGroups) -> None:
    group = made(groups)
    with run_in(group, "while :; do sleep 1000 & wait -n 2>/dev/null & done") as bomb:
        eventually(lambda: len(inside(group)) > 100)
        group.close()
        bomb.wait()
        await eventually_async(lambda: nothing_is_left(groups))


async def test_two_processes_of_an_app_have_a_group_each(groups: ControlGroups) -> None:
    old, new = made(groups, run=1), made(groups, run=2)
    with run_in(old, "sleep 1000") as one, run_in(new, "sleep 1000") as other:
        eventually(lambda: inside(old) and inside(new))
        old.close()
        one.wait()
        assert other.poll() is None
        groups.close()


async def test_many_processes_that_do_not_die_hold_up_a_stop_once(
    groups: ControlGroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "PATIENCE_SECONDS", 0.3)
    with ExitStack() as stack, monkeypatch.context() as patch:
        # As if each were in a system call that nothing interrupts.
        patch.setattr(module, "_kill", lambda *_: None)
        patch.setattr(module, "put", lambda *_: None)
        patch.setattr(cgroup, "_kill", lambda *_: 0)
        made_groups = [made(groups, run=run) for run in range(1, 9)]
        for group in made_groups:
            stack.callback(stack.enter_context(run_in(group, "sleep 1000")).kill)
        eventually(lambda: all(inside(group) for group in made_groups))
        began = time.monotonic()
        groups.close()
        assert time.monotonic() - began < 1.5
    groups.close()


async def test_an_earlier_daemons_groups_end_but_for_those_in_use(
    groups: ControlGroups, hierarchies: Hierarchies
) -> None:
    left, kept = made(groups, run=1), made(groups, run=2)
    made(groups, "empty.example", run=3)
    later = groups_in(hierarchies)
    assert later.group(kept.name)
    with run_in(left, ESCAPE) as one, run_in(kept, "sleep 1000") as other:
        assert one.stdout and one.stdout.readline()
        eventually(lambda: inside(kept))
        later.sweep()
        assert [path.name for path in bases(groups)[0].glob("uid-*/*/*/")] == ["2"]
        assert other.poll() is None
        later.close()
        # A shell may see the death of its child before its own.
        assert {one.wait(), other.wait()} <= {-9, 128 + 9}
    assert not any(base.exists() for base in bases(groups))


async def test_a_base_that_vanished_is_made_again(groups: ControlGroups) -> None:
    for base in bases(groups):
        os.rmdir(base)
    group = made(groups)
    with run_in(group, "exit 3") as process:
        assert process.wait() == 3
    groups.close()


async def test_a_group_that_cannot_be_made_is_told() -> None:
    """As where systemd has stopped the unit of the apps."""
    gone = Hierarchy(Path("/proc/self/gone"), frozenset(), is_v2=False, is_delegated=True)
    groups = groups_in(Hierarchies((gone,)))
    with pytest.raises(CannotLaunch, match=r"cannot make .* /proc/self/gone/uid-4321: .*; start "):
        made(groups)


async def test_a_group_that_vanished_lets_nothing_run(groups: ControlGroups) -> None:
    group = made(groups)
    for folder in groups.folders(group.name):
        os.rmdir(folder)
    with run_in(group, "echo ran") as process:
        told, _ = process.communicate()
    assert (process.returncode, told) == (125, "")
    groups.close()


async def test_without_a_hierarchy_there_are_no_groups() -> None:
    groups = groups_in(Hierarchies(()))
    assert groups.group(group_name(1, "a.example", 1)) is None
    groups.sweep()
    groups.close()


BOMB = """
import os, time
try:
    while os.fork(): pass
except BlockingIOError:
    print("refused", flush=True)
time.sleep(1000)
"""
LIMITED = Limits(
    memory_max=64 << 20, memory_high=32 << 20, pids_max=20, cpu_weight=50, cpu_max=25, io_weight=10
)
OF_TENANT = Limits(memory_max=128 << 20, pids_max=30, cpu_max=200)
# The first number of each file: of the process, of its app and of the tenant.
Written = tuple[str, int | None, int | None, int | None]
WRITTEN_V1: dict[str, list[Written]] = {
    "memory": [("memory.limit_in_bytes", 64 << 20, None, 128 << 20)],
    "pids": [("pids.max", 20, None, 30)],
    "cpu": [("cpu.shares", None, 512, 1024), ("cpu.cfs_quota_us", None, 25_000, 200_000)],
}
WRITTEN_V2: dict[str, list[Written]] = {
    "memory": [
        ("memory.max", 64 << 20, None, 128 << 20),
        ("memory.high", 32 << 20, None, None),
    ],
    "pids": [("pids.max", 20, None, 30)],
    "cpu": [("cpu.weight", None, 50, 100), ("cpu.max", None, 25_000, 200_000)],
}


async def test_limits_are_written_where_they_belong(hierarchies: Hierarchies) -> None:
    groups = groups_in(hierarchies, OF_TENANT)
    group = made(groups, limits=LIMITED)
    for folder, hierarchy in zip(groups.folders(group.name), hierarchies.usable, strict=True):
        written = WRITTEN_V2 if hierarchy.is_v2 else WRITTEN_V1
        for controller in hierarchy.controllers & written.keys():
            for file, *expected in written[controller]:
                for place, value in zip((folder, *folder.parents), expected, strict=False):
                    if value is not None:
                        assert int((place / file).read_text().split()[0]) == value, place
    groups.close()


async def test_the_tenants_that_stay_get_new_limits(hierarchies: Hierarchies) -> None:
    groups = groups_in(hierarchies, OF_TENANT)
    group = made(groups, limits=LIMITED)
    later = groups_in(hierarchies, Limits(pids_max=40))
    assert later.group(group.name)
    later.sweep()
    for folder in later.folders(group.name):
        if (file := folder.parents[1] / "pids.max").exists():
            assert file.read_text() == "40\n"
    later.close()


async def test_what_a_killed_app_has_left_is_summed_up_first(
    hierarchies: Hierarchies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_memory, "_SUMMED_UP_SECONDS", 0.1)
    group = made(groups_in(hierarchies))
    later = groups_in(hierarchies)
    tenants = [folder.parents[1] for folder in later.folders(group.name)]
    with run_in(group, "exec sleep 1000") as process:
        await eventually_async(lambda: bool(inside(group)))
        later.sweep()
        process.wait()
    assert all(tenant.exists() for tenant in tenants)
    await eventually_async(lambda: not any(tenant.exists() for tenant in tenants))
    later.close()


async def test_a_fork_beyond_the_limit_is_refused(hierarchies: Hierarchies) -> None:
    if not any("pids" in each.controllers for each in hierarchies.usable):
        pytest.skip("this hierarchy has no pids")
    groups = groups_in(hierarchies)
    group = made(groups, limits=LIMITED)
    with run_in(group, f"exec python3 -c '{BOMB}'") as bomb:
        assert bomb.stdout and bomb.stdout.readline() == "refused\n"
        assert len(inside(group)) == LIMITED.pids_max
        group.kill()
        assert group.take_hits() == [Hit(Reached.PIDS, LIMITED.pids_max)]
        groups.close()
        bomb.wait()


async def test_memory_beyond_the_limit_ends_the_process(hierarchies: Hierarchies) -> None:
    if not any("memory" in each.controllers for each in hierarchies.usable):
        pytest.skip("this hierarchy has no memory")
    groups = groups_in(hierarchies)
    group = made(groups, limits=LIMITED)
    with run_in(group, "python3 -c 'b = bytearray(200 << 20)'; echo $?") as hog:
        assert hog.communicate()[0] == "137\n"
    groups.close()


async def test_the_most_memory_is_known_after_it_is_freed(hierarchies: Hierarchies) -> None:
    if not any("memory" in each.controllers for each in hierarchies.usable):
        pytest.skip("this hierarchy has no memory")
    groups = groups_in(hierarchies)
    group = made(groups)
    peak = group.memory_peak()
    if peak is None:
        pytest.skip("this kernel does not tell it")
    script = "b = bytearray(64 << 20); del b; print(1, flush=True); input()"
    with run_in(group, f"exec python3 -c '{script}'") as freed:
        assert freed.stdout and freed.stdout.readline() == "1\n"
        assert (group.memory_peak() or 0) > (64 << 20)
        group.kill()
        freed.wait()
    groups.close()
    assert group.memory_peak() is None


@pytest.mark.parametrize(
    ("is_v2", "file"), [(True, "memory.peak"), (False, "memory.max_usage_in_bytes")]
)
async def test_the_file_of_the_most_memory_is_that_of_the_version(
    tmp_path: Path, is_v2: bool, file: str
) -> None:
    name = group_name(1, "a.example", 1)
    (tmp_path / name).mkdir(parents=True)
    others = Hierarchy(tmp_path / "others", frozenset({"pids"}), is_v2)
    groups = groups_in(Hierarchies((others, Hierarchy(tmp_path, frozenset({"memory"}), is_v2))))
    assert groups.memory_peak(name) is None, "a kernel may not tell it"
    (tmp_path / name / file).write_text("12345\n")
    assert groups.memory_peak(name) == 12345
