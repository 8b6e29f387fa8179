"""A thread for work that may wait for a disk, one piece after the other."""

import asyncio
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from emperor.guarded import guarded

log = logging.getLogger("emperord.one_thread")

T = TypeVar("T")


class OneThread:
    """Does work in a thread of its own, in the order in which it was given. Debuggers show the
    thread as `name`."""

    def __init__(self, name: str) -> None:
        # A signal that it took right before an exec would be lost.
        block = (signal.SIG_BLOCK, signal.valid_signals())
        self._name = name
        self._executor = ThreadPoolExecutor(1, name, signal.pthread_sigmask, block)

    async def do(self, work: Callable[[], T]) -> T:
        """What `work` returns, after all that was given before."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def do_later(self, work: Callable[[], None]) -> None:
        """Queue `work`, which should not raise: its exception is logged as a fault."""
        self._executor.submit(self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
        with guarded(log, f"do what is due in the thread {self._name!r}"):
            work()

    def close(self) -> None:
        """Take no more; what was given is done yet."""
        self._executor.shutdown(wait=False)
