"""Learns which pages of a base its apps use while they start. A spare has the kernel copy these
ahead, while nobody waits: the first write to one takes an app 4 µs, and there are 1,500 to 4,000.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from emperor.linux.threads import start_thread
from emperor.linux.timed_query import ask
from emperor.linux.used_pages import NOTHING_USED, Used, used_since_fork

# What all of so many apps have used is what the next one will use.
_ENOUGH_APPS = 3
# Of each kind: 24 MB, for each spare. Apps of one size need no more.
_MOST_PAGES = 6000


class HotPages:
    """The memory that the apps of one base use while they start. `look` compares an app with the
    base from which it was forked."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        look: Callable[[int, int], Used] = used_since_fork,
    ) -> None:
        self._loop = loop
        self._look = look
        self._asked = self.answers = 0
        self._used: Used | None = None
        self.packed = b""

    def learn(self, app: int, base: int) -> None:
        """An app accepts that was forked from the base."""
        if self._asked < _ENOUGH_APPS:
            self._asked += start_thread(Thread(target=self._ask, args=(app, base), daemon=True))

    def _ask(self, app: int, base: int) -> None:
        def question() -> Used:
            with suppress(OSError):  # it has ended meanwhile
                return self._look(app, base)
            return NOTHING_USED

        used = ask(app, question, NOTHING_USED)
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._take, used)

    def _take(self, used: Used) -> None:
        self.answers += 1
        if used.written:
            self._used = used if self._used is None else self._used & used
            self.packed = self._used.packed(_MOST_PAGES)
