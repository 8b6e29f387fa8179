"""An engine of a registry in memory, for tests of what is built on one: a test ends leases, cuts it
off and compacts it. What etcd itself does is tested on a real cluster."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from emperor.model.cluster_state import UNKNOWN, ClusterState
from emperor.model.registry_keys import Span
from emperor.registry.port import CannotReach, Changes, KeyValue, Missed, Outdated, Page


@dataclass(frozen=True, slots=True)
class _Held:
    value: bytes
    revision: int
    lease: int | None


class MemoryEngine:
    """Implements `Engine`. While `is_away` nothing can be reached, and watches end with
    CannotReach. While there is a `fault`, each call raises it. `puts` counts what was written."""

    def __init__(self) -> None:
        self.revision = 1
        self.cluster = 1
        self.leases: set[int] = set()
        self.puts = 0
        self.fault: Exception | None = None
        self._away = False
        self._kept: dict[str, _Held] = {}
        self._history: list[Changes] = []
        self._compacted = 0
        self._numbers = count(1)
        self._news = asyncio.Condition()

    @property
    def is_away(self) -> bool:
        """Whether it cannot be reached."""
        return self._away

    async def cut(self) -> None:
        """Be away from now on."""
        self._away = True
        await self._tell()

    async def mend(self) -> None:
        """Be there again."""
        self._away = False
        await self._tell()

    async def end(self, lease: int) -> None:
        """The time of a lease is over."""
        self.leases.discard(lease)
        gone = tuple(key for key, held in self._kept.items() if held.lease == lease)
        if gone:
            await self._change({}, gone, None)

    def compact(self) -> None:
        """Forget all changes so far."""
        self._compacted = self.revision
        self._history.clear()

    def lease_of(self, key: str) -> int | None:
        """The lease that a key has."""
        return self._kept[key].lease

    def value(self, key: str) -> bytes | None:
        """The value of a key, also while it is away."""
        held = self._kept.get(key)
        return held.value if held else None

    async def get(self, key: str) -> KeyValue | None:
        """The value of a key."""
        await self._reach()
        held = self._kept.get(key)
        return KeyValue(key, held.value, held.revision) if held else None

    async def page(self, span: Span, limit: int = 500, *, fresh: bool = False) -> Page:
        """The first keys of a span."""
        await self._reach()
        keys = sorted(key for key in self._kept if span.start <= key < span.end)
        some = tuple(
            KeyValue(key, self._kept[key].value, self._kept[key].revision) for key in keys[:limit]
        )
        return Page(some, keys[limit] if len(keys) > limit else None, self.revision)

    async def put(
        self, values: Mapping[str, bytes], expected: Mapping[str, int], lease: int | None = None
    ) -> int:
        """Write all keys or none."""
        await self._reach()
        self._expect(expected)
        if lease is not None and lease not in self.leases:
            raise CannotReach("the lease has ended")
        self.puts += 1
        return await self._change(values, (), lease)

    async def delete(self, key: str, expected: int) -> int:
        """Delete a key."""
        await self._reach()
        self._expect({key: expected})
        return await self._change({}, (key,), None)

    async def watch(
        self, spans: Collection[Span], after: int, state: ClusterState = UNKNOWN
    ) -> AsyncGenerator[Changes, None]:
        """What changes after a revision."""
        await self._reach()
        if after < self._compacted or after > self.revision:
            raise Missed
        if state.cluster not in (0, self.cluster):
            raise Missed
        yield Changes(after, state=ClusterState(self.cluster))
        while True:
            async with self._news:
                while not self._away and self.revision <= after:
                    await self._news.wait()
            await self._reach()
            if after < self._compacted:
                raise Missed
            news = [change for change in self._history if change.revision > after]
            after = self.revision
            for change in news:
                written = tuple(each for each in change.written if _within(each.key, spans))
                gone = tuple(key for key in change.gone if _within(key, spans))
                if written or gone:
                    yield Changes(change.revision, written, gone)

    async def grant(self, seconds: int) -> int:
        """A new lease, which ends by `end` alone."""
        await self._reach()
        assert seconds > 0
        lease = next(self._numbers)
        self.leases.add(lease)
        return lease

    async def renew(self, lease: int) -> bool:
        """Whether a lease still exists."""
        await self._reach()
        return lease in self.leases

    async def revoke(self, lease: int) -> None:
        """End a lease."""
        await self._reach()
        await self.end(lease)

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault
        if self._away:
            raise CannotReach("no member of the registry answers")

    def _expect(self, expected: Mapping[str, int]) -> None:
        for key, revision in expected.items():
            held = self._kept.get(key)
            if (held.revision if held else 0) != revision:
                raise Outdated(key)

    async def _change(
        self, values: Mapping[str, bytes], gone: tuple[str, ...], lease: int | None
    ) -> int:
        self.revision += 1
        for key, value in values.items():
            self._kept[key] = _Held(value, self.revision, lease)
        for key in gone:
            with suppress(KeyError):
                del self._kept[key]
        written = tuple(KeyValue(key, value, self.revision) for key, value in values.items())
        self._history.append(Changes(self.revision, written, gone))
        await self._tell()
        return self.revision

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


def _within(key: str, spans: Collection[Span]) -> bool:
    return any(span.start <= key < span.end for span in spans)
