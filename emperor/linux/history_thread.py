"""The one thread that writes and reads the history, so that the event loop never waits for a disk.

A history that cannot be kept is told once, and costs nothing else.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from emperor.guarded import guarded
from emperor.linux.one_thread import OneThread
from emperor.model.history import Batch, Choice, NoHistory, Numbers, Past, Pulse

log = logging.getLogger("emperord.history_thread")

T = TypeVar("T")

# The start, an upgrade and a stop of the daemon wait no longer for the disk.
PATIENCE_SECONDS = 1.0


class HistoryStore(Protocol):
    """Keeps the history. Every method raises NoHistory, and may take as long as the disk."""

    path: Path

    def open(self) -> None:
        """See that it can be written."""

    def close(self) -> None:
        """Close it; what follows opens it again."""

    def write(self, batch: Batch) -> None:
        """Write all of it or nothing."""

    def past(self, choice: Choice, most: int) -> Past:
        """The last starts and stops, at most so many of each, and all hours."""

    def numbers(self, choice: Choice) -> Numbers:
        """The vassals in numbers."""

    def pulse(self, day: Choice, hour: Choice) -> Pulse:
        """The hours of a day, and the minutes of an hour."""


class HistoryThread:
    """Works on what `make` makes, one order after the other. `make` is called in the thread."""

    def __init__(self, make: Callable[[], HistoryStore]) -> None:
        self._make = make
        self._store: HistoryStore | None = None
        self._thread = OneThread("history")
        self._is_failing = False

    async def open(self) -> None:
        """Open the file, or log why not. Returns after a moment in any case."""
        await self._patiently(self._open)

    async def close(self) -> None:
        """Close the file; what follows opens it again. Returns after a moment in any case."""
        await self._patiently(self._close)

    async def write(self, batch: Batch) -> None:
        """Write a batch, or log why not."""
        await self._thread.do(lambda: self._write(batch))

    async def ask(self, question: Callable[[HistoryStore], T]) -> T:
        """What the history answers. Raises NoHistory."""
        return await self._thread.do(lambda: question(self._made()))

    async def _patiently(self, work: Callable[[], None]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._thread.do(work)

    def _made(self) -> HistoryStore:
        if self._store is None:
            try:
                self._store = self._make()
            except ImportError as error:
                raise NoHistory(f"cannot keep a history: {error}") from error
        return self._store

    def _open(self) -> None:
        with guarded(log, "open the history"):
            try:
                self._made().open()
            except NoHistory as error:
                self._complain(error)

    def _close(self) -> None:
        if self._store:
            self._store.close()

    def _write(self, batch: Batch) -> None:
        try:
            store = self._made()
            store.write(batch)
        except NoHistory as error:
            self._complain(error)
            return
        except Exception:
            # What is kept next must not fail with it.
            log.exception("cannot write the history: a fault in emperord")
            return
        if self._is_failing:
            log.info("the history is kept in %s again", store.path)
            self._is_failing = False
        if batch.lost:
            log.warning("%d entries of the history are lost: the disk is too slow", batch.lost)

    def _complain(self, error: NoHistory) -> None:
        if not self._is_failing:
            log.warning("%s; the apps are not affected", error)
        self._is_failing = True
