"""A steady load on one app."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.backend import Backend


class Load:
    """Requests, one after the other, from a few threads."""

    def __init__(self, backend: Backend, host: str, threads: int = 3) -> None:
        self._backend = backend
        self._host = host
        self._count = threads
        self._enough = threading.Event()
        self.statuses: list[int] = []
        self.pids: list[str] = []

    def _ask(self) -> None:
        while not self._enough.is_set():
            reply = self._backend.get(self._host)
            self.statuses.append(reply.status)
            self.pids.append(reply.text.split()[0])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask until the block is left."""
        threads = [threading.Thread(target=self._ask) for _ in range(self._count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._enough.set()
            for thread in threads:
                thread.join()
