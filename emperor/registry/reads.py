"""Reads entries for domains that a visitor asks for, whatever visitors ask for.

Anybody can send any host name. So only a few reads run at once, all requests for a name share one,
and it is remembered for a moment that the registry does not have a name. While the registry cannot
be reached, a request learns that at once.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from emperor.registry.faults import faults_as_silence
from emperor.registry.port import CannotReach, Connection, RegistryRefused

log = logging.getLogger("emperord.reads")

AT_ONCE = 16
# More reads than that do not wait: their turn would come after the patience of the first ones.
_MOST_WAITING = 1024
# How long a name is remembered that the registry does not have, and how many.
_ABSENT_SECONDS = 3.0
_MOST_ABSENT = 10_000
# After a failure, requests are told so for this long. Then one of them tries again.
_PAUSE_SECONDS = 0.5
# Two members that hang are given up by then (registry/etcd_members).
PATIENCE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Read:
    """What the registry had for a domain at `revision`; the value is None if it had nothing.
    `written` is the revision at which the value was written."""

    value: bytes | None
    revision: int
    written: int = 0


class Reads:
    """Reads of single entries. `clock` tells monotonic seconds; `tell` is called with None when the
    registry has answered, and else with why it has not."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
        tell: Callable[[Exception | None], None],
    ) -> None:
        self._tasks = tasks
        self._clock = clock
        self._tell = tell
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._running: dict[str, asyncio.Task[Read | Exception]] = {}
        self._absent: OrderedDict[str, float] = OrderedDict()
        self._paused_until = 0.0
        self._why = ""

    def connect(self, connection: Connection | None) -> None:
        """Ask that engine from now on; None: there is none for now."""
        self._connection = connection
        if connection is None:
            self._connected.clear()
        else:
            self._connected.set()

    def is_absent(self, domain: str) -> bool:
        """Whether the registry did not have the name a moment ago."""
        return self._absent.get(domain, 0.0) > self._clock()

    def written(self, domain: str) -> None:
        """The registry tells that the entry of the name has changed."""
        self._absent.pop(domain, None)

    async def read(self, domain: str) -> Read:
        """What the registry has for the name, after a bounded time. Raises CannotReach and
        RegistryRefused."""
        (outcome,) = await self.read_all([domain])
        return answered(outcome)

    async def read_all(self, domains: Collection[str]) -> list[Read | Exception]:
        """What the registry has for these names, in their order; an error where a read failed."""
        started = [self._start(domain) for domain in domains]
        tasks = [each for each in started if isinstance(each, asyncio.Task)]
        if tasks:
            # A request that is cancelled must not end a read, for others may wait for it.
            await asyncio.wait(tasks)
        return [each.result() if isinstance(each, asyncio.Task) else each for each in started]

    def _start(self, domain: str) -> "asyncio.Task[Read | Exception] | Exception":
        if task := self._running.get(domain):
            return task
        if self._paused_until > self._clock():
            return CannotReach(self._why)
        if len(self._running) >= _MOST_WAITING:
            return CannotReach(f"{_MOST_WAITING} reads wait already")
        task = self._running[domain] = self._tasks.create_task(self._outcome(domain))
        task.add_done_callback(lambda _: self._running.pop(domain))
        return task

    async def _outcome(self, domain: str) -> Read | Exception:
        """What a read gives, or its error: a task that fails would end the daemon."""
        asked = False
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._connected.wait()
                async with self._slots:
                    asked = True
                    with faults_as_silence(log, f"read what the registry has for {domain!r}"):
                        found = await self._read(domain)
        except TimeoutError:
            error: Exception = CannotReach(f"it has not answered for {PATIENCE_SECONDS:g} seconds")
        except (CannotReach, RegistryRefused) as refused:
            error = refused
        else:
            self._tell(None)
            if found.value is None:
                self._remember_absent(domain)
            return found
        if asked or not self._connected.is_set():
            self._paused_until, self._why = self._clock() + _PAUSE_SECONDS, str(error)
            self._tell(error)
        return error

    async def _read(self, domain: str) -> Read:
        if self._connection is None:
            raise CannotReach("the connection is made anew")
        # A page tells the revision of the registry too, after which a watch misses nothing.
        engine, span = self._connection.engine, self._connection.keys.one(domain)
        page = await engine.page(span, 1)
        if not page.entries:
            # The member that was asked may not have what was put a moment ago.
            page = await engine.page(span, 1, fresh=True)
        for entry in page.entries:
            return Read(entry.value, page.revision, entry.revision)
        return Read(None, page.revision)

    def _remember_absent(self, domain: str) -> None:
        self._absent[domain] = self._clock() + _ABSENT_SECONDS
        self._absent.move_to_end(domain)
        if len(self._absent) > _MOST_ABSENT:
            self._absent.popitem(last=False)


def answered(outcome: Read | Exception) -> Read:
    """What was read. Raises the error that came instead."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
