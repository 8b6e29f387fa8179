"""What is written into the files of a control group for the limits of an app: pure tables, for
cgroup v2 (Documentation/admin-guide/cgroup-v2.rst) and v1 (cgroup-v1/).

Memory and processes are limited for each process of an app, so that a new version has as much as
the old one beside which it boots. The CPU and the disks are shared by both.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum

from emperor.model.limits import Limits

_PERIOD_US = 100_000
_USUAL_WEIGHT = 100
# cpu.shares of v1 for the usual weight, and the least that the kernel takes.
_USUAL_SHARES, _LEAST_SHARES = 1024, 2
_MOST_BFQ_WEIGHT = 1000


class Level(Enum):
    """The groups around a process, with the controllers that limit something there."""

    TENANT = frozenset({"memory", "pids", "cpu", "io"})
    VASSAL = frozenset({"cpu", "io"})
    RUN = frozenset({"memory", "pids"})


@dataclass(frozen=True, slots=True)
class Written:
    """A value for a file of a group. `is_optional`: a kernel may lack the file, without swap for
    example. `is_usual`: a new group has that value already."""

    file: str
    value: str
    is_optional: bool = False
    is_usual: bool = False


def files(
    limits: Limits, level: Level, controllers: Collection[str], is_v2: bool
) -> Iterator[Written]:
    """What is written for these limits, in this order, in a hierarchy with these controllers."""
    writers = _V2 if is_v2 else _V1
    for name, writer in writers.items():
        if name in controllers and name in level.value:
            yield from writer(limits)


def _memory_v2(limits: Limits) -> Iterator[Written]:
    most, is_usual = _or_max(limits.memory_max), limits.memory_max is None
    yield Written("memory.max", most, is_usual=is_usual)
    yield Written("memory.high", _or_max(limits.memory_high), is_usual=limits.memory_high is None)
    yield Written("memory.swap.max", most, is_optional=True, is_usual=is_usual)


def _memory_v1(limits: Limits) -> Iterator[Written]:
    # Memory and swap together cannot be less than memory, so this comes first and last.
    yield Written("memory.memsw.limit_in_bytes", "-1", is_optional=True, is_usual=True)
    most, high = limits.memory_max or -1, limits.memory_high or -1
    yield Written("memory.limit_in_bytes", str(most), is_usual=most < 0)
    yield Written("memory.soft_limit_in_bytes", str(high), is_usual=high < 0)
    if most > 0:
        yield Written("memory.memsw.limit_in_bytes", str(2 * most), is_optional=True)


def _pids(limits: Limits) -> Iterator[Written]:
    yield Written("pids.max", _or_max(limits.pids_max), is_usual=limits.pids_max is None)


def _cpu_v2(limits: Limits) -> Iterator[Written]:
    weight = limits.cpu_weight or _USUAL_WEIGHT
    yield Written("cpu.weight", str(weight), is_usual=weight == _USUAL_WEIGHT)
    unlimited = limits.cpu_max is None
    quota = _or_max(_quota_us(limits.cpu_max))
    yield Written("cpu.max", f"{quota} {_PERIOD_US}", is_optional=unlimited, is_usual=unlimited)


def _cpu_v1(limits: Limits) -> Iterator[Written]:
    shares = (limits.cpu_weight or _USUAL_WEIGHT) * _USUAL_SHARES // _USUAL_WEIGHT
    value = str(max(_LEAST_SHARES, shares))
    yield Written("cpu.shares", value, is_usual=shares == _USUAL_SHARES)
    unlimited = limits.cpu_max is None
    quota = str(_quota_us(limits.cpu_max) or -1)
    yield Written("cpu.cfs_quota_us", quota, is_optional=unlimited, is_usual=unlimited)


def _io_v2(limits: Limits) -> Iterator[Written]:
    weight = limits.io_weight or _USUAL_WEIGHT
    is_usual = weight == _USUAL_WEIGHT
    yield Written("io.weight", str(weight), is_optional=True, is_usual=is_usual)


def _io_v1(limits: Limits) -> Iterator[Written]:
    weight = min(limits.io_weight or _USUAL_WEIGHT, _MOST_BFQ_WEIGHT)
    is_usual = weight == _USUAL_WEIGHT
    yield Written("blkio.bfq.weight", str(weight), is_optional=True, is_usual=is_usual)


def _or_max(limit: int | None) -> str:
    return "max" if limit is None else str(limit)


def _quota_us(percent: int | None) -> int | None:
    return None if percent is None else percent * _PERIOD_US // 100


_V2 = {"memory": _memory_v2, "pids": _pids, "cpu": _cpu_v2, "io": _io_v2}
_V1 = {"memory": _memory_v1, "pids": _pids, "cpu": _cpu_v1, "io": _io_v1}
