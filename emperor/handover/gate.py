"""Pauses what an upgrade must not interrupt: a child process whose parent waits for its output."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Gate:
    """Open, unless a `closed` block runs."""

    def __init__(self) -> None:
        self._closers = 0
        self._repeatable: set[asyncio.Task[Any]] = set()
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

    async def repeat(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` returns. `closed` cancels it, and it runs again when the gate is open."""
        while True:
            async with self.passing():
                task = asyncio.create_task(work())
                self._repeatable.add(task)
                try:
                    return await task
                except asyncio.CancelledError:
                    if not self._closers or _is_cancelled():
                        raise
                finally:
                    self._repeatable.discard(task)

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Let no new block pass, wait for those that run, and open again after this block."""
        self._closers += 1
        self._is_open.clear()
        for task in self._repeatable:
            task.cancel()
        try:
            await self._is_empty.wait()
            yield
        finally:
            self._closers -= 1
            if not self._closers:
                self._is_open.set()


def _is_cancelled() -> bool:
    """Whether the task that runs was cancelled itself, and not only a task that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
