"""Follows the registry, and writes each table of slots that makes sense for nginx.

Nothing that the registry says can leave nginx without a list: the last good one stays. Without the
registry the list stays as it is, also when the agent starts.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace

from emperor import __version__
from emperor.balancer.agent_log import AgentLog
from emperor.balancer.list_file import ListFile, NotOurs
from emperor.balancer.metrics import Numbers, Presence
from emperor.model import absences
from emperor.model.fleet_policy import Attendance, Policy, due, next_look
from emperor.model.registry_keys import Keys
from emperor.model.slot_table import BrokenTable, SlotTable, decoded, encoded, objection
from emperor.registry.fleet_view import FleetView
from emperor.registry.port import CannotReach, Engine, Missed, Outdated, RegistryRefused

log = logging.getLogger("emperord.agent")

# All balancers of a fleet lose the registry at the same moment.
_RETRY_SECONDS = (1.0, 3.0)
_WRITE_AGAIN_SECONDS = 10.0


class Agent:
    """The agent of one balancer. `clock` tells monotonic seconds. Raises NotOurs, OSError."""

    def __init__(
        self,
        engine: Engine,
        keys: Keys,
        file: ListFile,
        policy: Policy,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._file = file
        self._policy = policy
        self._clock = clock
        self._view = FleetView(engine, keys)
        self._attendance = Attendance()
        self._good = file.load()
        self._news = AgentLog(self._good)
        self._changed = asyncio.Event()
        self._told: Callable[[], None] = lambda: None
        self._is_written = True
        self._may_note = True

    @property
    def table(self) -> SlotTable | None:
        """The table that nginx has."""
        return self._good

    @property
    def problem(self) -> str:
        """Why the registry's table is another one; empty if it is not."""
        return self._news.problem

    def numbers(self, now: float) -> Numbers:
        """How it is, for its metrics; `now` is in seconds since the epoch."""
        news, table = self._news, self._good
        return Numbers(
            version=__version__,
            now=now,
            is_reached=news.is_reached,
            serial=table.serial if table else 0,
            since=self._file.written_at() if table else None,
            table_problem=news.table_problem,
            last=news.last,
            backends=self._presence(table) if news.is_reached and table else None,
        )

    def _presence(self, table: SlotTable) -> Mapping[Presence, int]:
        found = (self._view.members.get(each) for each in table.backends)
        return Counter(
            Presence.DOWN if each is None else Presence.DRAINS if each.drains else Presence.UP
            for each in found
        )

    def tell_changes(self, told: Callable[[], None]) -> None:
        """Call this whenever either may be another one, or the registry is lost."""
        self._told = told

    async def run(self) -> None:
        """Follow the registry, until this is cancelled."""
        while True:
            try:
                await self._follow()
            except* (CannotReach, RegistryRefused) as errors:
                self._news.lost(errors.exceptions[0])
            except* Missed:
                self._news.missed()
            except* Exception:
                log.exception("cannot follow the registry: a fault in emperord")
                self._news.lost(CannotReach("a fault in emperord; its log has the traceback"))
            self._attendance.forget()
            self._told()
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))

    async def _follow(self) -> None:
        after = await self._view.read()
        self._news.reached()
        self._look()
        async with asyncio.TaskGroup() as tasks, aclosing(self._view.follow(after)) as changes:
            acting = tasks.create_task(self._act())
            async for _ in changes:
                self._look()
            acting.cancel()

    def _look(self) -> None:
        """Take in what the registry says now."""
        view = self._view
        self._attendance.note(view.members.values(), self._good, self._clock())
        self._news.members(view.members, self._good)
        self._take_table()
        self._told()
        self._changed.set()

    def _take_table(self) -> None:
        found, good = self._view.table, self._good
        if found is None:
            self._news.no_table()
            return
        try:
            table = decoded(found.value)
        except BrokenTable as error:
            self._news.broken(str(error))
            return
        is_same = good is not None and _is_same(table, good)
        if is_same and self._file.is_there:
            self._good = table
            self._news.taken(table)
        elif good and not is_same and (why := objection(table, good)):
            self._news.refused(table, why)
        else:
            self._use(table)

    def _use(self, table: SlotTable) -> None:
        try:
            self._file.replace(table)
        except (OSError, NotOurs) as error:
            self._is_written = False
            self._news.unwritten(self._file.path, error)
            return
        self._good, self._is_written = table, True
        self._attendance.note(self._view.members.values(), table, self._clock())
        self._news.taken(table)

    async def _act(self) -> None:
        """Change the table whenever a change is due that the agent may make by itself."""
        while True:
            self._changed.clear()
            if not self._is_written:
                self._take_table()
            wait = None if self._is_written else _WRITE_AGAIN_SECONDS
            if table := self._table_in_use():
                await self._change(table)
                self._told()
                await self._note_absences(table)
                now = self._clock()
                members = self._view.members
                wait = wait or next_look(self._policy, table, members, self._attendance, now)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def _table_in_use(self) -> SlotTable | None:
        """The table of the registry, if nginx has it."""
        found = self._view.table
        with suppress(BrokenTable):
            if found and self._good and decoded(found.value).serial == self._good.serial:
                return self._good
        return None

    async def _change(self, table: SlotTable) -> None:
        """Change the table, if that is due. Another agent may do so at the same time, and only one
        of the changes succeeds."""
        step = due(self._policy, table, self._view.members, self._attendance, self._clock())
        if step is None or self._view.table is None:
            return
        if step.table is None:
            self._news.undone(step)
            return
        key = self._keys.slots()
        try:
            await self._engine.put({key: encoded(step.table)}, {key: self._view.table.revision})
        except Outdated:
            return
        except RegistryRefused as error:
            self._news.undone(replace(step, why=str(error)))
        else:
            self._news.done(step)

    async def _note_absences(self, table: SlotTable) -> None:
        """Note since when backends are down, for people who ask. An agent may have no right to
        write."""
        down = [each for each in table.backends if each not in self._view.members]
        before = self._view.down_since()
        now = absences.seen(before, down, int(time.time()))
        if now == before or not self._may_note:
            return
        key, held = self._keys.absences(), self._view.absences
        revision = held.revision if held else 0
        try:
            await self._engine.put({key: absences.encoded(now)}, {key: revision})
        except Outdated:
            return
        except RegistryRefused as error:
            self._may_note = False
            log.info("cannot note since when backends are down: %s", error)


def _is_same(one: SlotTable, other: SlotTable) -> bool:
    return (one.serial, one.slots, one.ports) == (other.serial, other.slots, other.ports)
