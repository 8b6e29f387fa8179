"""What holds the processes of vassals, and a uWSGI that only reads an ini."""

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from emperor.linux.groups import ControlGroups, control_groups, entering
from emperor.linux.limits import machine_for_limits
from emperor.model.limits import Limits, LimitSettings, combined, of_tenant
from emperor.model.machine import Machine
from emperor.model.ports import CannotLaunch
from emperor.model.spec import Spec

# uWSGI with its Python, which does not start then, has 15 MB.
READING_BYTES = 256 << 20
# To compile a source of 1 MB takes up to 300 MB.
BACKGROUND_BYTES = 512 << 20
COMMAND_BYTES = 256 << 20

# Has a command run in a control group.
Enter = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds all processes of a vassal: the control groups, the limits that the settings have
    for each app, and the soft and hard limits on open files that the daemon was started with."""

    groups: ControlGroups
    limits: LimitSettings
    machine: Machine
    open_files: tuple[int, int]

    def limits_of(self, spec: Spec) -> Limits:
        """What holds for one vassal."""
        return combined(self.limits, spec.limits, self.machine)

    def open_files_of(self, limits: Limits) -> tuple[int, int]:
        """The soft and hard limits. Raises CannotLaunch."""
        wanted, (_, hard) = limits.nofile, self.open_files
        if wanted is None:
            return self.open_files
        if 0 <= hard < wanted:
            raise CannotLaunch(
                f"cannot set nofile = {wanted}: emperord itself may have {hard} open files;"
                " lower nofile, or raise LimitNOFILE= of emperord.service"
            )
        return wanted, wanted

    @contextmanager
    def reading(self, name: str) -> Iterator[Enter]:
        """Has a uWSGI that only reads an ini run in a control group of that name, which ends with
        the block, and with it whatever the ini has started. Raises CannotLaunch."""
        with self._holding(name, READING_BYTES, {}) as enter:
            yield enter

    @contextmanager
    def background(self, name: str) -> Iterator[Enter]:
        """Has work in the background run in such a group, with the least share of CPU and disks."""
        with self._holding(name, BACKGROUND_BYTES, {"cpu_weight": 1, "io_weight": 1}) as enter:
            yield enter

    @contextmanager
    def command(self, name: str) -> Iterator[Enter]:
        """Has a command of the administrator run in such a group."""
        with self._holding(name, COMMAND_BYTES, {}) as enter:
            yield enter

    @contextmanager
    def _holding(self, name: str, most: int, weights: Mapping[str, int]) -> Iterator[Enter]:
        group = self.groups.group(name)
        if group is None:
            yield as_it_is
            return
        limits = combined(self.limits, None, self.machine)
        most = min(limits.memory_max or most, most)
        try:
            group.make(replace(limits, memory_max=most, memory_high=None, **weights))
            yield partial(entering, group.entrances, self.open_files, limits.nice)
        finally:
            group.close()


def bounds_of(
    apps: LimitSettings,
    tenants: LimitSettings,
    run_dir: Path,
    open_files: tuple[int, int],
    loop: AbstractEventLoop,
) -> Bounds:
    """What holds the processes of vassals by the limits of each app and of each tenant in the
    settings. `open_files` are the limits that the daemon was started with."""
    here = machine_for_limits()
    groups = control_groups(os.environ, run_dir, of_tenant(tenants, here), loop)
    return Bounds(groups, apps, here, open_files)


def as_it_is(argv: Sequence[str]) -> list[str]:
    """The command, held by nothing."""
    return list(argv)
