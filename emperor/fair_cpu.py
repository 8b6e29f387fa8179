"""Looks at what tenants do while somebody waits for the CPU: who takes all of it yields to others,
and who goes on forking at a limit is refused early. The kernel tells of waits only while apps
run."""

import asyncio
import logging
from collections.abc import Callable

from emperor.early_refusal import EarlyRefusal
from emperor.guarded import guarded
from emperor.linux.cpu_marks import CpuMarks
from emperor.linux.cpu_pressure import WINDOW_SECONDS, CpuPressure
from emperor.linux.group_names import uid_of
from emperor.model.authority import Caller
from emperor.model.cpu_shares import Yielding
from emperor.model.log_pause import LogPause
from emperor.uwsgi.bounds import Bounds

log = logging.getLogger("emperord.fair_cpu")

# The kernel counts a tick as used by one of them: 5 ms and more.
_LOOK_SECONDS = 0.5
# After the last time that somebody has waited.
_RELIEVED_SECONDS = 2 * WINDOW_SECONDS + _LOOK_SECONDS
# A tenant could begin and end as often as it likes.
_SILENT_SECONDS = 60.0


class FairCpu:
    """Has tenants yield the CPU that take all of it while somebody waits. `name` tells the name of
    a user. `app_starts` is to be called before each start."""

    def __init__(
        self,
        marks: CpuMarks,
        early_refusal: EarlyRefusal,
        name: Callable[[int], str],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._marks = marks
        self._early_refusal = early_refusal
        self._name = name
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._has_started_app = False
        self._pressure: CpuPressure | None = None
        self._looking: asyncio.Task[None] | None = None
        self._waited = 0.0
        self._yielding = Yielding()
        self._pause = LogPause(_SILENT_SECONDS)
        self._problem: str | None = None

    def yielding(self, caller: Caller) -> tuple[str, ...]:
        """The names of the users that yield now, as far as they exist for the caller."""
        uids = [uid_of(tenant) for tenant in self._yielding.tenants]
        return tuple(sorted(self._name(uid) for uid in uids if caller.sees(uid)))

    def start(self) -> None:
        """Begin to act, where groups can be marked and the kernel tells who waits."""
        try:
            self._marks.check()
            self._pressure = CpuPressure(self._loop, self._on_pressure)
        except OSError as error:
            self._tell_why_not(error)
        if self._has_started_app:
            self.app_starts()

    def app_starts(self) -> None:
        """An app is about to have a process, or an earlier daemon's has one."""
        self._has_started_app = True
        if self._pressure is not None:
            self._pressure.resume()

    def close(self) -> None:
        """End it: nobody yields any more."""
        if self._pressure is not None:
            self._pressure.close()
            self._pressure = None
        if self._looking is not None:
            self._looking.cancel()
        self._end()

    def _on_pressure(self) -> None:
        self._waited = self._loop.time()
        if self._looking is None:
            self._looking = self._tasks.create_task(self._look())

    async def _look(self) -> None:
        with guarded(log, "share the CPU"):
            try:
                await self._look_while_somebody_waits()
            except OSError as error:
                # Perhaps for now alone: no descriptor may be left. The next wait is another try.
                self._tell_why_not(error)
            finally:
                self._looking = None
                self._end()

    async def _look_while_somebody_waits(self) -> None:
        self._has_started_app = False
        before = await asyncio.to_thread(self._marks.look)
        if self._pressure and not (before and before.tenants) and not self._has_started_app:
            # All apps sleep, and there is nobody to yield.
            self._pressure.pause()
        while before and before.tenants and not self._is_relieved:
            await asyncio.sleep(_LOOK_SECONDS)
            now = await asyncio.to_thread(self._marks.look)
            if now:
                used = now.since(before)
                self._take(self._yielding.after(used))
                await self._early_refusal.look(used)
            before = now

    @property
    def _is_relieved(self) -> bool:
        """Whether nobody waits for the CPU. Who is refused early costs no CPU that others wait for,
        and would begin again."""
        is_over = self._loop.time() >= self._waited + _RELIEVED_SECONDS
        return is_over and not self._early_refusal.is_active

    def _end(self) -> None:
        self._take(self._yielding.relieved())
        self._early_refusal.close()

    def _take(self, yielding: Yielding) -> None:
        if yielding.tenants or self._yielding.tenants:
            self._marks.mark(yielding.tenants, yielding.all_apps)
        for tenant in yielding.tenants - self._yielding.tenants:
            self._tell(tenant)
        self._yielding = yielding

    def _tell(self, tenant: str) -> None:
        if self._pause.ends(tenant, self._loop.time()):
            log.info(
                "%s takes all of the CPU that it can get: it yields to others while it does",
                self._name(uid_of(tenant)),
            )

    def _tell_why_not(self, error: OSError) -> None:
        problem = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        if problem != self._problem:
            self._problem = problem
            log.info("cannot have a tenant that takes all of the CPU yield to others: %s", problem)


def fair_cpu_of(bounds: Bounds, name: Callable[[int], str], tasks: asyncio.TaskGroup) -> FairCpu:
    """One for the apps in these groups, which tell it of each start."""
    fair_cpu = FairCpu(bounds.groups.marks, EarlyRefusal(bounds, name, tasks), name, tasks)
    bounds.groups.on_use = fair_cpu.app_starts
    return fair_cpu
