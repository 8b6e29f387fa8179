"""The history of the vassals: what is kept of it, and what a caller is told."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from emperor.linux.history_thread import PATIENCE_SECONDS, HistoryStore, HistoryThread
from emperor.model.authority import Caller
from emperor.model.history import Choice, Fact, NoHistory, Pulse, Stats, VassalHistory
from emperor.model.ports import Clock
from emperor.model.settings import Settings
from emperor.supervisor.history import History

T = TypeVar("T")

_OFF = "history-max-age or history-max-rows is 0"
_NO_FOLDER = "emperord has no folder for it: systemd names that by StateDirectory="
_UNREADABLE = "emperord keeps no history, or cannot read it now"


class HistoryAccess:
    """The history in the file of `folder`, or none where there is no such folder or the settings
    want none."""

    def __init__(self, settings: Settings, folder: Path | None, clock: Clock) -> None:
        most, oldest = settings.history_max_rows, settings.history_max_age
        self._why_none = _NO_FOLDER if folder is None else _OFF
        self._thread: HistoryThread | None = None
        if folder is not None and most and oldest:
            self._thread = HistoryThread(partial(_history_file, folder, most, oldest))
        self._history = History(clock, self._thread.write) if self._thread else None

    def keep(self, fact: Fact) -> None:
        """Have a fact written soon."""
        if self._history:
            self._history.keep(fact)

    async def open(self) -> None:
        """Begin to keep the history."""
        if self._thread:
            await self._thread.open()

    async def close(self) -> None:
        """Write what is left, as far as that takes a moment."""
        if self._history and self._thread:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._history.flush()
            await self._thread.close()

    async def of_vassal(
        self, name: str, caller: Caller, since: datetime, most: int
    ) -> VassalHistory:
        """The history of a vassal from `since` on, at most so many starts and stops of it. The
        caller may see the vassal."""
        choice = Choice(since, (name,), _tenant(caller))
        try:
            past = await self._ask(lambda store: store.past(choice, most))
        except NoHistory as error:
            return VassalHistory(name, None, (), (), (), _told(error, caller))
        return VassalHistory(name, past.kept_since, past.starts, past.stops, past.hours, None)

    async def stats(self, names: Collection[str], caller: Caller, since: datetime) -> Stats:
        """The figures of these vassals, or of all, as far as they exist for the caller."""
        if not caller.sees(caller.uid):
            return Stats(since, None, (), (), None)
        choice = Choice(since, tuple(names), _tenant(caller))
        try:
            numbers = await self._ask(lambda store: store.numbers(choice))
        except NoHistory as error:
            return Stats(since, None, (), (), _told(error, caller))
        return Stats(since, numbers.kept_since, numbers.vassals, numbers.hours, None)

    async def pulse(self, caller: Caller, day: datetime, hour: datetime) -> Pulse:
        """The hours since `day`, and the minutes since `hour`, of all that exist for the caller."""
        if not caller.sees(caller.uid):
            return Pulse((), ())
        of_day, of_hour = (Choice(since, (), _tenant(caller)) for since in (day, hour))
        try:
            return await self._ask(lambda store: store.pulse(of_day, of_hour))
        except NoHistory as error:
            return Pulse((), (), _told(error, caller))

    async def _ask(self, question: Callable[[HistoryStore], T]) -> T:
        """What the store answers, when all until now is written. Raises NoHistory."""
        if self._thread is None or self._history is None:
            raise NoHistory(self._why_none)
        await self._history.flush()
        return await self._thread.ask(question)


def _history_file(folder: Path, most_rows: int, max_age: float) -> HistoryStore:
    """The file of the history, whose module is imported in the thread: a daemon that takes over is
    in a hurry, and a Python may have no SQLite. Raises ImportError."""
    module = import_module("emperor.linux.history_file")
    store: HistoryStore = module.HistoryFile(folder, most_rows, max_age)
    return store


def _tenant(caller: Caller) -> int | None:
    return None if caller.is_administrator else caller.uid


def _told(error: NoHistory, caller: Caller) -> str:
    """Files and disks are no matter of a tenant's."""
    return str(error) if caller.is_administrator else _UNREADABLE
