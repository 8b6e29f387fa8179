"""Lets held requests go at the pace of the queue that they will join.

nginx connects for each request that is let go, and a full queue refuses it (EAGAIN). A herd is
therefore released in batches of the room that unix_diag reports.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from emperor.model.policy import admissible
from emperor.model.ports import Listener, QueueLength

log = logging.getLogger("emperord")

# So many cannot overflow a queue that was empty when the app began to accept.
A_FEW = 16
# Time for nginx to turn what was let go into connections that can be counted.
SETTLE_SECONDS = 0.02


@dataclass(slots=True)
class Turnstile:
    """The held requests of one listener, first come first. `crowded`: the queue was full before."""

    listener: Listener
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    crowded: bool = False

    def release(self, count: int) -> None:
        """Let so many go, passing over those whose client has left."""
        while self.waiting and count > 0:
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1


class Pace:
    """One turnstile for each listener with held requests, and one task that turns it."""

    def __init__(
        self,
        measure: Callable[[Listener], Awaitable[QueueLength]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._measure = measure
        self._tasks = tasks
        self._turnstiles: dict[str, Turnstile] = {}

    async def turn(self, domain: str, listener: Listener, refused_before: bool) -> None:
        """Wait until this request may go. `refused_before`: it found the queue full once."""
        turnstile = self._turnstiles.get(domain)
        if turnstile is None:
            turnstile = self._turnstiles[domain] = Turnstile(listener)
            self._tasks.create_task(self._conduct(domain, turnstile))
        turnstile.crowded |= refused_before
        future = asyncio.get_running_loop().create_future()
        turnstile.waiting.append(future)
        await future

    async def _conduct(self, domain: str, turnstile: Turnstile) -> None:
        try:
            # One round of the loop, for those that the same event woke to line up.
            await asyncio.sleep(0)
            while turnstile.crowded or len(turnstile.waiting) > A_FEW:
                queue = await self._measure(turnstile.listener)
                turnstile.release(admissible(queue.capacity, queue.pending))
                turnstile.crowded = bool(turnstile.waiting)
                if turnstile.crowded:
                    await asyncio.sleep(SETTLE_SECONDS)
        except Exception:
            log.exception("%s: cannot pace those who wait; they all go now", domain)
        finally:
            del self._turnstiles[domain]
            turnstile.release(len(turnstile.waiting))
