"""Has the kernel refuse the forks of apps that go on forking at a limit, before it copies a
process for each of them."""

import asyncio
import logging
import secrets
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from emperor.guarded import guarded
from emperor.linux.group_names import app_group, app_of, domain_of, tenant_of, uid_of
from emperor.linux.timed_command import run_while_wanted
from emperor.model.cpu_shares import Used
from emperor.model.log_fields import about
from emperor.model.log_pause import LogPause
from emperor.model.ports import CannotLaunch
from emperor.model.refused_forks import ForkingOn
from emperor.uwsgi.bounds import Bounds

log = logging.getLogger("emperord.early_refusal")

_PROGRAM = Path(__file__).parent.joinpath("linux/early_refusal_program.py").read_text("utf-8")
# Of a core: copies of processes for a tenant that uses less delay nobody.
_LEAST_CORES = 0.05
# Killed before it has given limits back, the program leaves processes that can never fork.
TO_END_SECONDS = 10.0
_PRINTED = 1000
# A tenant could begin and end as often as it likes.
_SILENT_SECONDS = 60.0
# Root's, beside those of its apps: in the tenant's, the program would take the place of a process.
# No domain begins with a dot.
PROGRAMS = app_group(0, ".early-refusal")


class EarlyRefusal:
    """Runs one program for each group that forks on, as long as the group has no room. `name` tells
    the name of a user."""

    def __init__(
        self, bounds: Bounds, name: Callable[[int], str], tasks: asyncio.TaskGroup
    ) -> None:
        self._bounds = bounds
        self._name = name
        self._tasks = tasks
        self._forking_on = ForkingOn()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._pause = LogPause(_SILENT_SECONDS)

    @property
    def is_active(self) -> bool:
        """Whether forks are refused early now."""
        return not self._running.keys().isdisjoint(self._forking_on.groups)

    async def look(self, used: Used) -> None:
        """Look at all tenants that have used the CPU."""
        least = _LEAST_CORES * used.seconds
        tenants = {name for name, seconds in used.tenants.items() if seconds >= least}
        tenants |= {tenant_of(group) for group in self._forking_on.groups}
        # The kernel limits no process of root's.
        tenants = {name for name in tenants if uid_of(name) != 0}
        forks = await asyncio.to_thread(self._bounds.groups.forks.look, tenants)
        ending = self._running.keys() - self._forking_on.groups
        self._take(self._forking_on.after(used.seconds, forks, ending))

    def close(self) -> None:
        """Have none refused early any more."""
        self._take(ForkingOn())

    def _take(self, forking_on: ForkingOn) -> None:
        for group in self._forking_on.groups - forking_on.groups:
            if running := self._running.get(group):
                running.cancel()
        for group in forking_on.groups - self._forking_on.groups:
            self._running[group] = running = self._tasks.create_task(self._guarded(group))
            running.add_done_callback(partial(self._has_ended, group))
        self._forking_on = forking_on

    def _has_ended(self, group: str, _task: asyncio.Task[None]) -> None:
        del self._running[group]

    async def _guarded(self, group: str) -> None:
        with guarded(log, "have forks refused early"):
            await self._refuse(group)

    async def _refuse(self, group: str) -> None:
        uid, domain = uid_of(tenant_of(group)), domain_of(app_of(group))
        subject = domain or self._name(uid)
        is_told = self._pause.ends(subject, asyncio.get_running_loop().time())
        if is_told:
            log.info(
                "%s goes on forking at a limit on processes: until it has room, the kernel refuses"
                " its forks before it copies a process",
                subject, extra=about(domain) if domain else None,
            )  # fmt: skip
        try:
            with self._bounds.command(f"{PROGRAMS}/{secrets.randbits(40)}") as enter:
                folder = self._bounds.groups.forks.folder(group)
                argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(folder), str(uid)]
                ended, printed = await run_while_wanted(enter(argv), {}, _PRINTED, TO_END_SECONDS)
        except (CannotLaunch, OSError) as error:
            problem = str(error)
        else:
            problem = f"{ended}: {printed.decode(errors='replace')}".strip(": \n")
            is_told &= ended.code != 0
        if is_told:
            log.info("cannot have forks of %s refused early: %s", subject, problem)
