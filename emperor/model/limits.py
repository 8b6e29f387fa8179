"""The limits of an app and of a tenant: the table of them, how a text becomes a value, and what
holds for an app if the settings, its ini and the machine say different things."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from emperor.model.machine import Machine

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# Python alone needs more.
_LEAST_MEMORY_BYTES = 2**20
# uWSGI's master and one worker.
_LEAST_PROCESSES = 2
_LEAST_OPEN_FILES, _MOST_OPEN_FILES = 64, 2**30
_MOST_WEIGHT = 10_000
_MOST_CPU_PERCENT = 1_000_000


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of bytes or processes, or of percent of those that the machine has. 0: no limit."""

    number: int
    is_percent: bool = False

    def of(self, all_there_is: int) -> int:
        """The number, on a machine that has so many."""
        return all_there_is * self.number // 100 if self.is_percent else self.number


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What the settings, or an ini, say about each limit; None: nothing. 0: no limit; but a weight,
    which has no 0, and `nice`. `cpu_max` is in percent of one core."""

    memory_max: Amount | None = None
    memory_high: Amount | None = None
    pids_max: Amount | None = None
    cpu_weight: int | None = None
    cpu_max: int | None = None
    io_weight: int | None = None
    nofile: int | None = None
    nice: int | None = None


@dataclass(frozen=True, slots=True)
class Own:
    """What an ini says. `may_raise`: it belongs to an administrator, and wins. The ini of a tenant
    can only lower what the settings say."""

    wanted: LimitSettings
    may_raise: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for an app or a tenant, as numbers. None: no limit; a weight is 100 then, as the
    kernel has it."""

    memory_max: int | None = None
    memory_high: int | None = None
    pids_max: int | None = None
    cpu_weight: int | None = None
    cpu_max: int | None = None
    io_weight: int | None = None
    nofile: int | None = None
    nice: int | None = None


def memory(text: str) -> Amount:
    """A size or a share of the machine's memory. Raises ValueError."""
    written = re.fullmatch("([0-9]{1,9})([KMGT%]?)", text)
    if not written:
        raise ValueError("must be a size such as 512M, a share such as 50%, or 0 for no limit")
    number, unit = int(written[1]), written[2]
    if unit == "%":
        return _share(number)
    if 0 < number * _UNITS[unit] < _LEAST_MEMORY_BYTES:
        raise ValueError("is less than any app needs; write at least 1M, or 0 for no limit")
    return Amount(number * _UNITS[unit])


def processes(text: str) -> Amount:
    """A number of processes and threads, or a share of those that the kernel allows. Raises
    ValueError."""
    written = re.fullmatch("([0-9]{1,9})(%?)", text)
    if not written:
        raise ValueError("must be a number such as 500, a share such as 30%, or 0 for no limit")
    number = int(written[1])
    if written[2]:
        return _share(number)
    if 0 < number < _LEAST_PROCESSES:
        raise ValueError("leaves uWSGI without a worker; write at least 2, or 0 for no limit")
    return Amount(number)


def cpu(text: str) -> int:
    """Percent of one core. In an ini `%` begins a variable, so it may be left out. Raises
    ValueError."""
    written = re.fullmatch("([0-9]{1,7})%?", text)
    if text == "0":
        return 0
    if not written or not 1 <= int(written[1]) <= _MOST_CPU_PERCENT:
        raise ValueError("must be percent of one core, as 50% or 200%, or 0 for no limit")
    return int(written[1])


def weight(text: str) -> int:
    """A weight of the kernel's. Raises ValueError."""
    value = int(text) if re.fullmatch("[0-9]{1,5}", text) else 0
    if not 1 <= value <= _MOST_WEIGHT:
        raise ValueError(f"must be a number from 1 to {_MOST_WEIGHT}; 100 is usual")
    return value


def open_files(text: str) -> int:
    """A number of descriptors. Raises ValueError."""
    value = int(text) if re.fullmatch("[0-9]{1,10}", text) else -1
    if value and not _LEAST_OPEN_FILES <= value <= _MOST_OPEN_FILES:
        raise ValueError(f"must be a number from {_LEAST_OPEN_FILES} on, or 0 for the daemon's own")
    return value


def niceness(text: str) -> int:
    """A nice value, sched(7). Raises ValueError."""
    value = int(text) if re.fullmatch("-?[0-9]{1,2}", text) else 20
    if not -20 <= value <= 19:
        raise ValueError("must be a number from -20 to 19")
    return value


def spelled(value: Amount | int) -> str:
    """The text of a value, but for `cpu_max`."""
    if isinstance(value, int):
        return str(value)
    if value.is_percent:
        return f"{value.number}%"
    unit = next(unit for unit in ("T", "G", "M", "K", "") if value.number % _UNITS[unit] == 0)
    return f"{value.number // _UNITS[unit]}{unit}" if value.number else "0"


def spelled_cpu(percent: int) -> str:
    """The text of a `cpu_max`."""
    return f"{percent}%" if percent else "0"


def _share(percent: int) -> Amount:
    if not 1 <= percent <= 100:
        raise ValueError("must be a share from 1% to 100%, or 0 for no limit")
    return Amount(percent, is_percent=True)


@dataclass(frozen=True, slots=True)
class Limit:
    """A row of the table: a key of the settings and of an ini. `default` is that of an app, and
    `of_tenant` that of a tenant; None: there is no such setting. `lower` is the one of two values
    that an ini of a tenant may choose."""

    name: str
    default: str
    of_tenant: str | None
    metavar: str
    parse: Callable[[str], Any]
    help: str
    lower: Callable[[int, int], int] = min
    spell: Callable[[Any], str] = spelled

    @property
    def field(self) -> str:
        """The attribute of `LimitSettings` and `Limits` that holds the value."""
        return self.name.replace("-", "_")


def _stricter(one: int, other: int) -> int:
    """The stricter of two numbers, of which 0 is no limit."""
    return min(one or other, other or one)


LIMITS = (
    Limit("memory-max", "50%", "75%", "SIZE", memory,
          "memory; above it the kernel kills a process; 0: no limit", _stricter),
    Limit("memory-high", "0", "0", "SIZE", memory,
          "memory above which the kernel slows it down; 0: no limit", _stricter),
    Limit("pids-max", "1000", "33%", "N", processes,
          "processes and threads; 0: no limit", _stricter),
    Limit("cpu-weight", "100", "100", "N", weight,
          "share of the CPU while others want it too, from 1 to 10000", min),
    Limit("cpu-max", "0", "0", "PERCENT", cpu,
          "CPU time, in percent of one core; 0: no limit", _stricter, spelled_cpu),
    Limit("io-weight", "100", "100", "N", weight,
          "share of the disks while others want it too, from 1 to 10000", min),
    Limit("nofile", "0", None, "N", open_files,
          "open files of one process; 0: as many as emperord has", _stricter),
    Limit("nice", "0", None, "N", niceness, "nice value of all processes, from -20 to 19", max),
)  # fmt: skip
BY_NAME: Mapping[str, Limit] = {limit.name: limit for limit in LIMITS}


def combined(settings: LimitSettings, own: Own | None, machine: Machine) -> Limits:
    """What holds for an app whose ini says `own`. `settings` say something about each limit."""
    values: dict[str, int | None] = {}
    for limit in LIMITS:
        value = _number(limit, getattr(settings, limit.field), machine)
        wanted = getattr(own.wanted, limit.field) if own else None
        if own and wanted is not None:
            number = _number(limit, wanted, machine)
            value = number if own.may_raise else limit.lower(number, value)
        values[limit.field] = value or None
    return Limits(**values)


def of_tenant(settings: LimitSettings, machine: Machine) -> Limits:
    """What holds for all apps of a tenant together."""
    return combined(settings, None, machine)


def within(tenant: Limits, app: Limits) -> Limits:
    """The limits of an app of that tenant. v1 refuses a cpu-max above that of the group around."""
    if tenant.cpu_max is None:
        return app
    return replace(app, cpu_max=_stricter(app.cpu_max or 0, tenant.cpu_max))


def contradiction(wanted: LimitSettings) -> str:
    """Why these make no sense together; empty if they do."""
    high, most = wanted.memory_high, wanted.memory_max
    if not (high and most) or high.is_percent != most.is_percent:
        return ""
    if not high.number > most.number > 0:
        return ""
    return (
        f"memory-high = {spelled(high)} has no effect above memory-max = {spelled(most)}; lower it"
    )


def _number(limit: Limit, value: Amount | int | None, machine: Machine) -> int:
    if isinstance(value, Amount):
        return value.of(machine.processes if limit.name == "pids-max" else machine.memory_bytes)
    return value or 0


assert [limit.field for limit in LIMITS] == [field.name for field in fields(Limits)]
assert [limit.field for limit in LIMITS] == [field.name for field in fields(LimitSettings)]
