"""Which limit an app has reached, in words and as a number for the metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from emperor.model.limits import Amount, spelled


class Reached(Enum):
    """What has no more room: a limit of the app, or of all apps of its tenant, by its name in the
    settings, or the machine."""

    MEMORY = "memory-max"
    PIDS = "pids-max"
    TENANT_MEMORY = "tenant-memory-max"
    TENANT_PIDS = "tenant-pids-max"
    MACHINE_MEMORY = "memory"
    """memory of the machine, or of a control group around all apps"""
    MACHINE_PIDS = "processes"
    """processes of a control group around all apps"""
    LOG = "log-max-size"
    """disk space, which the app has reserved in its log"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A limit that was reached; `value` is what it was, None where it is not known."""

    limit: Reached
    value: int | None = None

    def __str__(self) -> str:
        return _WHY[self.limit].format(limit=self._named())

    def _named(self) -> str:
        if self.value is None:
            return self.limit.value
        return f"{self.limit.value} = {spelled(Amount(self.value))}"


_DEADLY = frozenset({Reached.MEMORY, Reached.TENANT_MEMORY, Reached.MACHINE_MEMORY})


def deadliest(hits: Sequence[Hit]) -> Hit:
    """The limit by which a process that is gone has died, of those that were reached, in their
    order: the last one for which the kernel kills, or else the last one."""
    return next((hit for hit in reversed(hits) if hit.limit in _DEADLY), hits[-1])


_NO_MEMORY, _NO_PROCESS = "cannot get more memory: ", "cannot start a process: "
_KILLED = f"{_NO_MEMORY}{{limit}} is reached, and the kernel killed a process"
_REFUSED = f"{_NO_PROCESS}{{limit}} is reached, and a fork was refused"
_WHY = {
    Reached.MEMORY: f"{_KILLED}; raise memory-max, or let the app use less",
    Reached.PIDS: f"{_REFUSED}; raise pids-max, or use fewer processes and threads",
    Reached.TENANT_MEMORY: f"{_KILLED}; raise it, or let the apps of this user use less",
    Reached.TENANT_PIDS: f"{_REFUSED}; raise it, or let the apps of this user use fewer",
    Reached.MACHINE_PIDS: (
        f"{_NO_PROCESS}a control group around all apps is full, and a fork was refused; raise"
        " TasksMax= of emperord-apps.service, or pids.max of a group above it"
    ),
    Reached.MACHINE_MEMORY: (
        f"{_NO_MEMORY}the machine has no more, and the kernel killed a process; lower memory-max of"
        " large apps, or add memory"
    ),
    Reached.LOG: (
        "cannot reserve space in its log: {limit} is reached, and most of that was not written; let"
        " the app call no fallocate() for its output"
    ),
}
