"""Has the kernel refuse the forks of apps that go on forking at a limit, before it copies a
process for each of them."""

import asyncio
import errno
import logging
import os
import secrets
import sys
from pathlib import Path

from emperor.linux.cgroup import members
from emperor.linux.group_names import app_of, domain_of, group_name, tenant_of, uid_of
from emperor.linux.proc import real_group_of
from emperor.linux.processes import as_identity, without_capabilities
from emperor.linux.timed_command import run_while_wanted
from emperor.model.cpu_shares import Used
from emperor.model.log_fields import about
from emperor.model.log_pause import LogPause
from emperor.model.ports import CannotLaunch
from emperor.model.refused_forks import ForkingOn
from emperor.model.spec import Identity
from emperor.uwsgi.bounds import Bounds

log = logging.getLogger("emperord.early_refusal")

_PROGRAM = Path(__file__).parent.joinpath("linux/early_refusal_program.py").read_text("utf-8")
# Of a core: copies of processes for a tenant that uses less delay nobody.
_LEAST_CORES = 0.05
# A tenant could begin and end as often as it likes.
_SILENT_SECONDS = 60.0
# No domain begins with a dot.
_GROUP = ".early-refusal"


class EarlyRefusal:
    """One program for each app that forks on, which runs for as long as the app has no room."""

    def __init__(self, bounds: Bounds, tasks: asyncio.TaskGroup) -> None:
        self._bounds = bounds
        self._tasks = tasks
        self._forking_on = ForkingOn()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._pause = LogPause(_SILENT_SECONDS)

    @property
    def is_active(self) -> bool:
        """Whether the forks of an app are refused early."""
        return bool(self._forking_on.apps)

    async def look(self, used: Used) -> None:
        """Look at the apps of all tenants that have used the CPU."""
        least = _LEAST_CORES * used.seconds
        tenants = {name for name, seconds in used.tenants.items() if seconds >= least}
        tenants |= {tenant_of(app) for app in self._forking_on.apps}
        # The kernel limits no process of root's.
        tenants = {name for name in tenants if uid_of(name) != 0}
        forks = await asyncio.to_thread(self._bounds.groups.forks.look, tenants)
        self._take(self._forking_on.after(used.seconds, forks))

    def close(self) -> None:
        """Have none refused early any more."""
        self._take(ForkingOn())

    def _take(self, forking_on: ForkingOn) -> None:
        for app in self._forking_on.apps - forking_on.apps:
            self._running.pop(app).cancel()
        for app in forking_on.apps - self._forking_on.apps:
            self._running[app] = self._tasks.create_task(self._refuse(app))
        self._forking_on = forking_on

    async def _refuse(self, app: str) -> None:
        domain = domain_of(app_of(app))
        if self._pause.ends(domain, asyncio.get_running_loop().time()):
            log.info(
                "%s goes on forking at a limit on processes: until it has room, the kernel refuses"
                " its forks before it copies a process", domain, extra=about(domain),
            )  # fmt: skip
        uid = uid_of(tenant_of(app))
        try:
            with self._bounds.command(group_name(uid, _GROUP, secrets.randbits(40))) as enter:
                argv = await asyncio.to_thread(_program, uid, self._bounds.groups.forks.listed(app))
                await run_while_wanted(enter(argv), {})
        except (CannotLaunch, OSError) as error:
            log.info("cannot have forks of %s refused early: %s", domain, error)


def _program(uid: int, listed: Path) -> list[str]:
    """The command, as the user of the processes in that list, and as their group. Raises
    OSError."""
    argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(listed)]
    if uid == os.geteuid():
        return without_capabilities(argv)
    gids = (real_group_of(pid) for pid in members(listed.parent))
    gid = next((gid for gid in gids if gid is not None), None)
    if gid is None:
        raise ProcessLookupError(errno.ESRCH, "it has no process any more")
    return as_identity(Identity(uid, gid, None), argv)
