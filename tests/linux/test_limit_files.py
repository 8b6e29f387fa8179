"""What is written into the files of groups, for each limit and level, in v2 and v1."""

import pytest

from emperor.linux.hierarchies import CONTROLLERS
from emperor.linux.limit_files import Level, files
from emperor.model.limits import Limits

NONE = Limits()
ALL = Limits(memory_max=100, memory_high=50, pids_max=7, cpu_weight=200, cpu_max=150, io_weight=10)
SMALL = Limits(cpu_weight=1, io_weight=9000)
MEMORY_V2 = "memory.max=100 memory.high=50 memory.swap.max=100"
MEMORY_V1 = (
    "memory.memsw.limit_in_bytes=-1 memory.limit_in_bytes=100 memory.soft_limit_in_bytes=50"
    " memory.memsw.limit_in_bytes=200"
)
TABLE = [
    (ALL, Level.RUN, True, f"{MEMORY_V2} pids.max=7"),
    (ALL, Level.VASSAL, True, "cpu.weight=200 cpu.max=150000 100000 io.weight=10"),
    (ALL, Level.TENANT, True,
     f"{MEMORY_V2} pids.max=7 cpu.weight=200 cpu.max=150000 100000 io.weight=10"),
    (NONE, Level.TENANT, True,
     "memory.max=max memory.high=max memory.swap.max=max pids.max=max"
     " cpu.weight=100 cpu.max=max 100000 io.weight=100"),
    (ALL, Level.RUN, False, f"{MEMORY_V1} pids.max=7"),
    (ALL, Level.VASSAL, False, "cpu.shares=2048 cpu.cfs_quota_us=150000 blkio.bfq.weight=10"),
    (NONE, Level.TENANT, False,
     "memory.memsw.limit_in_bytes=-1 memory.limit_in_bytes=-1 memory.soft_limit_in_bytes=-1"
     " pids.max=max cpu.shares=1024 cpu.cfs_quota_us=-1 blkio.bfq.weight=100"),
    (SMALL, Level.VASSAL, False, "cpu.shares=10 cpu.cfs_quota_us=-1 blkio.bfq.weight=1000"),
]  # fmt: skip


@pytest.mark.parametrize(("limits", "level", "is_v2", "expected"), TABLE)
def test_each_level_gets_its_files(
    limits: Limits, level: Level, is_v2: bool, expected: str
) -> None:
    written = [f"{each.file}={each.value}" for each in files(limits, level, CONTROLLERS, is_v2)]
    assert " ".join(written) == expected


@pytest.mark.parametrize("is_v2", [True, False], ids=["v2", "v1"])
def test_a_new_group_has_what_is_usual_already(is_v2: bool) -> None:
    assert all(each.is_usual for each in files(NONE, Level.TENANT, CONTROLLERS, is_v2))
    needed = [e for e in files(ALL, Level.TENANT, CONTROLLERS, is_v2) if not e.is_usual]
    assert len(needed) == 7


def test_a_hierarchy_gets_the_files_of_its_controllers() -> None:
    assert [each.file for each in files(ALL, Level.RUN, {"pids"}, is_v2=False)] == ["pids.max"]
    assert not list(files(ALL, Level.RUN, set(), is_v2=True))
