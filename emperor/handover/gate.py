"""Pauses what an upgrade must not interrupt: a child process whose parent waits for its output."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Open, unless a `closed` block runs."""

    def __init__(self) -> None:
        self._closers = 0
        self._inside = 0
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Wait until the gate is open, then run the block; `closed` waits for its end."""
        # The gate may be closed again between `set` and the moment when this task runs.
        while self._closers:
            await self._is_open.wait()
        self._inside += 1
        self._is_empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._is_empty.set()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Let no new block pass, wait for those that run, and open again after this block."""
        self._closers += 1
        self._is_open.clear()
        try:
            await self._is_empty.wait()
            yield
        finally:
            self._closers -= 1
            if not self._closers:
                self._is_open.set()
