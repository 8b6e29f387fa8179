"""A client that writes without end, and one that watches: for what was acknowledged and told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from emperor.model.registry_keys import Keys
from emperor.registry.etcd import Etcd
from emperor.registry.port import CannotReach

KEYS = Keys("/emperord/history")
PAUSE_SECONDS = 0.01


class History:
    """The revisions at which a counter was written, and those that a watch told."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, int] = {}
        self.in_doubt: set[int] = set()
        self.told: list[tuple[int, int]] = []
        self.last = 0

    def is_complete(self) -> bool:
        """Whether the watch has told all that was acknowledged."""
        return set(self.acknowledged) <= {number for number, _ in self.told}

    def check(self) -> None:
        """The watch told each write once and in order, and no write happened twice."""
        numbers = [number for number, _ in self.told]
        assert numbers == sorted(set(numbers))
        assert set(range(1, self.last)) - set(numbers) <= self.in_doubt
        told = dict(self.told)
        assert {n: told[n] for n in self.acknowledged} == self.acknowledged

    async def write(self, engine: Etcd) -> None:
        """Count up in a key, of which each write expects the one before."""
        key, revision = KEYS.vassal("www.example.com"), 0
        while True:
            self.last += 1
            try:
                revision = await engine.put({key: b"%d" % self.last}, {key: revision})
                self.acknowledged[self.last] = revision
            except CannotReach:
                self.in_doubt.add(self.last)
                found = await _read(engine, key)
                revision = found
            await asyncio.sleep(PAUSE_SECONDS)

    async def watch(self, engine: Etcd, after: int) -> None:
        """Note what is told."""
        async with aclosing(engine.watch([KEYS.vassals()], after)) as items:
            async for changes in items:
                self.told += [(int(each.value), each.revision) for each in changes.written]


async def _read(engine: Etcd, key: str) -> int:
    while True:
        try:
            found = await engine.get(key)
        except CannotReach:
            continue
        return found.revision if found else 0


@asynccontextmanager
async def under_way(writer: Etcd, watcher: Etcd) -> AsyncIterator[History]:
    """Have both clients at work, until the block ends."""
    history = History()
    start = await writer.put({KEYS.slots(): b""}, {})
    async with asyncio.TaskGroup() as tasks:
        both = [
            tasks.create_task(history.watch(watcher, start)),
            tasks.create_task(history.write(writer)),
        ]
        yield history
        for task in both:
            task.cancel()
