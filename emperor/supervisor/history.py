"""Collects facts of the past, and has them written together: a second after the first one, so that
no wake waits for the disk, and nothing is set or written while nothing happens."""

import asyncio
from collections.abc import Awaitable, Callable

from emperor.model.history import Batch, Fact
from emperor.model.ports import Clock, Timer

DELAY_SECONDS = 1.0


class History:
    """Collects facts, and has them written in batches. `write` writes a batch elsewhere, and never
    raises. One batch at a time is on its way: a disk that hangs costs no more memory than a batch
    may have."""

    def __init__(self, clock: Clock, write: Callable[[Batch], Awaitable[None]]) -> None:
        self._clock = clock
        self._write = write
        self._batch = Batch()
        self._timer: Timer | None = None
        self._writing: asyncio.Future[None] | None = None

    def keep(self, fact: Fact) -> None:
        """Have a fact written soon."""
        self._batch.add(fact)
        if self._timer is None and self._writing is None:
            self._timer = self._clock.call_later(DELAY_SECONDS, self._begin)

    async def flush(self) -> None:
        """Return when all is written that was kept until now."""
        while self._batch or self._writing:
            writing = self._writing or self._begin()
            # Somebody who asks and leaves must not end the writing.
            await asyncio.shield(writing)

    def _begin(self) -> asyncio.Future[None]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._batch = self._batch, Batch()
        self._writing = asyncio.ensure_future(self._write(batch))
        self._writing.add_done_callback(self._done)
        return self._writing

    def _done(self, _written: asyncio.Future[None]) -> None:
        self._writing = None
        if self._batch:
            self._timer = self._clock.call_later(DELAY_SECONDS, self._begin)
