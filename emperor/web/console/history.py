"""Asks the history for the pages. A disk that hangs must not keep an operator from them: they are
wanted most just then."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import TypeVar

from emperor.model.authority import Caller
from emperor.model.history import Pulse, VassalHistory, VassalStats
from emperor.web.history import HistoryAccess

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
_LATE = "it does not answer; its disk may hang"


class PatientHistory:
    """What the history answers within a moment, or that it does not."""

    def __init__(self, history: HistoryAccess) -> None:
        self._history = history

    async def pulse(self, caller: Caller, day: datetime, hour: datetime) -> Pulse:
        """The hours since `day`, and the minutes since `hour`."""
        asked = self._history.pulse(caller, day, hour)
        return await _soon(asked, lambda: Pulse((), (), _LATE))

    async def of_vassal(
        self, name: str, caller: Caller, since: datetime, most: int
    ) -> VassalHistory:
        """The history of a vassal from `since` on, at most so many starts and stops of it."""
        asked = self._history.of_vassal(name, caller, since, most)
        return await _soon(asked, lambda: VassalHistory(name, None, (), (), (), _LATE))

    async def stats(
        self, names: Collection[str], caller: Caller, since: datetime
    ) -> tuple[VassalStats, ...]:
        """The figures of these vassals, or of all; none where the history does not answer."""

        async def asked() -> tuple[VassalStats, ...]:
            return (await self._history.stats(names, caller, since)).vassals

        return await _soon(asked(), lambda: ())


async def _soon(asked: Awaitable[T], late: Callable[[], T]) -> T:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await asked
    except TimeoutError:
        return late()
