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
    example."""

    file: str
    value: str
    is_optional: bool = False


def files(
    limits: Limits, level: Level, controllers: Collection[str], is_v2: bool
) -> Iterator[Written]:
    """What is written for these limits, in this order, in a hierarchy with these controllers."""
    writers = _V2 if is_v2 else _V1
    for name, writer in writers.items():
        if name in controllers and name in level.value:
            yield from writer(limits)


def _memory_v2(limits: Limits) -> Iterator[Written]:
    most = _or_max(limits.memory_max)
    yield Written("memory.max", most)
    yield Written("memory.high", _or_max(limits.memory_high))
    yield Written("memory.swap.max", most, is_optional=True)


def _memory_v1(limits: Limits) -> Iterator[Written]:
    # Memory and swap together cannot be less than memory, so this comes first and last.
    yield Written("memory.memsw.limit_in_bytes", "-1", is_optional=True)
    most = limits.memory_max
    yield Written("memory.limit_in_bytes", "-1" if most is None else str(most))
    yield Written("memory.soft_limit_in_bytes", str(limits.memory_high or -1))
    if most is not None:
        yield Written("memory.memsw.limit_in_bytes", str(2 * most), is_optional=True)


def _pids(limits: Limits) -> Iterator[Written]:
    yield Written("pids.max", _or_max(limits.pids_max))


def _cpu_v2(limits: Limits) -> Iterator[Written]:
    yield Written("cpu.weight", str(limits.cpu_weight or _USUAL_WEIGHT))
    quota = "max" if limits.cpu_max is None else str(_quota_us(limits.cpu_max))
    yield Written("cpu.max", f"{quota} {_PERIOD_US}", is_optional=True)


def _cpu_v1(limits: Limits) -> Iterator[Written]:
    shares = (limits.cpu_weight or _USUAL_WEIGHT) * _USUAL_SHARES // _USUAL_WEIGHT
    yield Written("cpu.shares", str(max(_LEAST_SHARES, shares)))
    quota = "-1" if limits.cpu_max is None else str(_quota_us(limits.cpu_max))
    yield Written("cpu.cfs_quota_us", quota, is_optional=limits.cpu_max is None)


def _io_v2(limits: Limits) -> Iterator[Written]:
    yield Written("io.weight", str(limits.io_weight or _USUAL_WEIGHT), is_optional=True)


def _io_v1(limits: Limits) -> Iterator[Written]:
    weight = min(limits.io_weight or _USUAL_WEIGHT, _MOST_BFQ_WEIGHT)
    yield Written("blkio.bfq.weight", str(weight), is_optional=True)


def _or_max(limit: int | None) -> str:
    return "max" if limit is None else str(limit)


def _quota_us(percent: int) -> int:
    return percent * _PERIOD_US // 100


_V2 = {"memory": _memory_v2, "pids": _pids, "cpu": _cpu_v2, "io": _io_v2}
_V1 = {"memory": _memory_v1, "pids": _pids, "cpu": _cpu_v1, "io": _io_v1}
