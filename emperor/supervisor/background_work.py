"""Does work on apps in the background, one app at a time: some seconds after it was asked for, and
only while no app boots or waits for its boot. A boot that begins ends the work, which is repeated
later. The users that apps run as take turns."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from emperor.model.definition import FileOwner
from emperor.model.ports import Clock, Timer
from emperor.model.spec import Spec
from emperor.model.status import ReportedState, TransitionEvent
from emperor.supervisor.vassals import Vassals

log = logging.getLogger("emperord.background_work")

# A person who edits an ini, or drops some, does not wait for us meanwhile.
DELAY_SECONDS = 5.0
_BOOTING = frozenset({ReportedState.STARTING, ReportedState.RELOADING})

# The spec of a vassal, the text of its ini, and the owner of that.
Work = Callable[[Spec, bytes, FileOwner], Awaitable[None]]


class BackgroundWork:
    """Does `work` on the vassals that were noted."""

    def __init__(
        self, vassals: Vassals, work: Work, clock: Clock, tasks: asyncio.TaskGroup
    ) -> None:
        self._vassals = vassals
        self._work = work
        self._clock = clock
        self._tasks = tasks
        # When the work on each domain is due, the oldest order first.
        self._due: dict[str, float] = {}
        self._booting: set[str] = set()
        # The number of the last turn of each user that had one, while somebody waits.
        self._turns: dict[int | None, int] = {}
        self._running: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._is_closed = False

    def note(self, domain: str) -> None:
        """The app is new, or has changed: work on it later."""
        if self._is_closed:
            return
        self._due.pop(domain, None)
        self._due[domain] = self._clock.time() + DELAY_SECONDS
        if self._timer is None and self._running is None:
            self._timer = self._clock.call_later(DELAY_SECONDS, self._look)

    def on_event(self, event: TransitionEvent) -> None:
        """Take note of a boot that begins or ends."""
        if event.after in _BOOTING:
            self._booting.add(event.name)
            if self._running is not None:
                self._running.cancel()
        elif event.name in self._booting:
            self._booting.discard(event.name)
            self._look()

    def close(self) -> None:
        """End what is going on, and begin nothing any more."""
        self._is_closed = True
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._running is not None:
            self._running.cancel()

    def _look(self) -> None:
        """Begin the next work, or have the clock call when it is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running is not None or self._booting or self._is_closed:
            return
        now = self._clock.time()
        due = [domain for domain, moment in self._due.items() if moment <= now]
        if due:
            domain = min(due, key=self._turn_of)
            del self._due[domain]
            self._running = self._tasks.create_task(self._do(domain))
            self._running.add_done_callback(partial(self._done, domain))
        elif self._due:
            delay = next(iter(self._due.values())) - now
            self._timer = self._clock.call_later(delay, self._look)
        else:
            self._turns.clear()

    def _turn_of(self, domain: str) -> int:
        vassal = self._vassals.get(domain)
        return self._turns.get(vassal.spec.owner, 0) if vassal else 0

    async def _do(self, domain: str) -> None:
        vassal = self._vassals.get(domain)
        if vassal is not None and vassal.stamp is not None and vassal.text:
            self._turns[vassal.spec.owner] = max(self._turns.values(), default=0) + 1
            try:
                owner = FileOwner(vassal.stamp.uid, vassal.stamp.gid)
                await self._work(vassal.spec, vassal.text, owner)
            except Exception:
                # It must not end the daemon.
                log.exception("%s: work in the background failed: a fault in emperord", domain)

    def _done(self, domain: str, task: asyncio.Task[None]) -> None:
        self._running = None
        if task.cancelled():
            self._due = {domain: self._clock.time(), **self._due}
        self._look()
