"""A backend of a fleet without its web part: the real folder and disk, an engine in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from emperor.linux.accounts import SystemAccounts
from emperor.linux.pulled_journal import Journal
from emperor.model.registration import Entry, RegisteredIni, Sealed, encoded
from emperor.model.registry_keys import Keys
from emperor.pull.alias_grants import AliasGrants
from emperor.pull.follower import Follower
from emperor.pull.local_copy import LocalCopy
from emperor.pull.pulled_inis import PulledInis
from emperor.pull.search import Search
from emperor.pull.unused_inis import UnusedInis
from emperor.pull.verification import Verifier
from emperor.registry.port import Connection
from emperor.registry.reachability import Asker, Reachability
from emperor.registry.reads import Reads
from tests.registry.memory_engine import MemoryEngine
from tests.sources.site import Site

KEYS = Keys("/emperord")
# A user of Debian.
OWNER = "games"


def ini(domain: str, serial: int, text: str = "5") -> RegisteredIni:
    """An entry; its text is the `idle` of the app."""
    return RegisteredIni(domain, serial, OWNER, text)


async def put(engine: MemoryEngine, *entries: Entry) -> None:
    """Write these entries."""
    await engine.put({KEYS.vassal(each.domain): encoded(Sealed(each)) for each in entries}, {})


class FleetBackend:
    """A daemon of that backend. `chance` is 0: it follows changes at once."""

    def __init__(self, place: Path, engine: MemoryEngine, tasks: asyncio.TaskGroup) -> None:
        self.engine = engine
        vassals, state = place / "vassals", place / "state"
        for folder in (vassals, state):
            folder.mkdir(exist_ok=True)
        self.site = site = Site(vassals, tasks)
        loop = asyncio.get_running_loop()
        clock = loop.time
        self.reachability = Reachability(clock, lambda: datetime.now(UTC), loop.call_later)
        self.journal = Journal(state, "boot")
        inis = PulledInis(vassals, self.journal)
        self.local_copy = LocalCopy(inis, self.journal, site.folder, clock)
        verifier = Verifier(SystemAccounts(), lambda _: None, lambda _: None)
        reads = Reads(tasks, clock, partial(self.reachability.tell, Asker.READS))
        grants = AliasGrants(reads, verifier, self.local_copy, lambda *_: ())
        self.local_copy.prepare()
        self.search = Search(
            reads, verifier, grants, self.local_copy, site.folder, site.world.governor, tasks, 60.0
        )
        self.follower = Follower(
            self._connect, reads, self.reachability, verifier, grants, self.local_copy, self.search,
            lambda: 0.0,
        )  # fmt: skip
        self.unused_inis = UnusedInis(reads, verifier, self.local_copy, site.world.governor, 3600.0)
        site.folder.tell_changes(lambda _: None, self.search.judged)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Connection]:
        yield Connection(self.engine, KEYS)

    def text(self, domain: str) -> str | None:
        """What is on the disk."""
        path = self.site.path / f"{domain}.ini"
        return path.read_text() if path.exists() else None

    def idle(self, domain: str) -> int | None:
        """What is in effect."""
        return self.site.idle(domain)


@asynccontextmanager
async def backend_of(place: Path, engine: MemoryEngine) -> AsyncIterator[FleetBackend]:
    """A daemon that runs until the end of the block, where it is killed."""
    async with asyncio.TaskGroup() as tasks:
        backend = FleetBackend(place, engine, tasks)
        await backend.site.folder.rescan()
        parts = backend.follower.follow, backend.follower.apply, backend.follower.retry
        running = [tasks.create_task(part()) for part in parts]
        try:
            yield backend
        finally:
            backend.search.stop()
            for task in running:
                task.cancel()
            backend.local_copy.close()
            # The thread of a daemon that is killed does nothing more.
            await asyncio.to_thread(backend.local_copy._thread._executor.shutdown)
