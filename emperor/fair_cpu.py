"""Has tenants that take all of the CPU yield it to others. Looks only while somebody waits, and has
the kernel tell that only while apps run."""

import asyncio
import logging
from collections.abc import Callable

from emperor.linux.cpu_marks import CpuMarks
from emperor.linux.cpu_pressure import WINDOW_SECONDS, CpuPressure
from emperor.linux.group_names import uid_of
from emperor.model.authority import Caller
from emperor.model.cpu_shares import Yielding

log = logging.getLogger("emperord.fair_cpu")

# The kernel counts a tick as used by one of them: 5 ms and more.
_LOOK_SECONDS = 0.5
# After the last time that somebody has waited.
_RELIEVED_SECONDS = 2 * WINDOW_SECONDS + _LOOK_SECONDS
# A tenant could begin and end as often as it likes.
_SILENT_SECONDS = 60.0


class FairCpu:
    """`name` tells the name of a user. `app_starts` is to be called before each start."""

    def __init__(
        self, marks: CpuMarks, name: Callable[[int], str], tasks: asyncio.TaskGroup
    ) -> None:
        self._marks = marks
        self._name = name
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._has_started_app = False
        self._pressure: CpuPressure | None = None
        self._looking: asyncio.Task[None] | None = None
        self._waited = 0.0
        self._yielding = Yielding()
        self._told: dict[str, float] = {}
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
        self._take(self._yielding.relieved())

    def _on_pressure(self) -> None:
        self._waited = self._loop.time()
        if self._looking is None:
            self._looking = self._tasks.create_task(self._look())

    async def _look(self) -> None:
        try:
            await self._look_while_somebody_waits()
        except OSError as error:
            # Perhaps for now alone: no descriptor may be left. The next wait is another try.
            self._tell_why_not(error)
        except Exception:
            # It must not end the daemon.
            log.exception("cannot share the CPU: a fault in emperord")
        finally:
            self._looking = None
            self._take(self._yielding.relieved())

    async def _look_while_somebody_waits(self) -> None:
        self._has_started_app = False
        before = await asyncio.to_thread(self._marks.look)
        if self._pressure and not (before and before.tenants) and not self._has_started_app:
            # All apps sleep, and there is nobody to yield.
            self._pressure.pause()
        while before and before.tenants and self._loop.time() < self._waited + _RELIEVED_SECONDS:
            await asyncio.sleep(_LOOK_SECONDS)
            now = await asyncio.to_thread(self._marks.look)
            if now:
                self._take(self._yielding.after(now.since(before)))
            before = now

    def _take(self, yielding: Yielding) -> None:
        if yielding.tenants or self._yielding.tenants:
            self._marks.mark(yielding.tenants, yielding.all_apps)
        for tenant in yielding.tenants - self._yielding.tenants:
            self._tell(tenant)
        self._yielding = yielding

    def _tell(self, tenant: str) -> None:
        now = self._loop.time()
        self._told = {
            each: when for each, when in self._told.items() if now < when + _SILENT_SECONDS
        }
        if tenant not in self._told:
            self._told[tenant] = now
            log.info(
                "%s takes all of the CPU that it can get: it yields to others while it does",
                self._name(uid_of(tenant)),
            )

    def _tell_why_not(self, error: OSError) -> None:
        problem = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        if problem != self._problem:
            self._problem = problem
            log.info("cannot have a tenant that takes all of the CPU yield to others: %s", problem)
