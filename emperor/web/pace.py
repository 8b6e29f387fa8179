"""Releases held requests as fast as the listener's queue can take their connections.

nginx connects once for each released request, and a full queue refuses the connection (EAGAIN). A
herd is therefore released in batches, each as large as the room that unix_diag reports.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from emperor.model.log_fields import about
from emperor.model.policy import admissible
from emperor.model.ports import Listener, QueueLength

log = logging.getLogger("emperord.pace")

# Too few to fill a queue that was empty when the app began to accept.
SMALL_HERD = 16
# Until nginx has connected for the requests that were released, a measurement misses them.
CONNECT_SECONDS = 0.02


@dataclass(slots=True)
class ReleaseQueue:
    """The held requests of one listener, oldest first. `must_measure`: the listener's queue was
    found full, so not even a small herd is released without a measurement."""

    listener: Listener
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    must_measure: bool = False

    def release(self, count: int) -> None:
        """Release the `count` oldest requests whose clients are still there."""
        while self.waiting and count > 0:
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1


class Pacer:
    """One queue for each listener with held requests, and one task that empties it. `measure` tells
    the length of a listener's queue."""

    def __init__(
        self,
        measure: Callable[[Listener], Awaitable[QueueLength]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._measure = measure
        self._tasks = tasks
        self._queues: dict[str, ReleaseQueue] = {}

    async def wait(self, domain: str, listener: Listener, was_refused: bool) -> None:
        """Return when this request is released. `was_refused`: nginx has tried before to run it,
        and could not connect."""
        queue = self._queues.get(domain)
        if queue is None:
            queue = self._queues[domain] = ReleaseQueue(listener)
            self._tasks.create_task(self._release_all(domain, queue))
        queue.must_measure |= was_refused
        future = asyncio.get_running_loop().create_future()
        queue.waiting.append(future)
        await future

    async def _release_all(self, domain: str, queue: ReleaseQueue) -> None:
        try:
            # All requests that the same event woke enter the queue first.
            await asyncio.sleep(0)
            while queue.must_measure or len(queue.waiting) > SMALL_HERD:
                length = await self._measure(queue.listener)
                queue.release(admissible(length.capacity, length.pending))
                queue.must_measure = bool(queue.waiting)
                if queue.must_measure:
                    await asyncio.sleep(CONNECT_SECONDS)
        except Exception:
            log.exception(
                "%s: cannot pace the held requests; all are released now",
                domain,
                extra=about(domain),
            )
        finally:
            del self._queues[domain]
            queue.release(len(queue.waiting))
