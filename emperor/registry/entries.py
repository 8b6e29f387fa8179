"""Reads and writes the entries of domains, by an engine."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from emperor.model.registration import (
    BrokenEntry,
    Entry,
    Sealed,
    decoded,
    encoded,
    refuse_serial_beyond,
)
from emperor.model.registry_keys import Keys
from emperor.registry.paging import pages
from emperor.registry.port import Engine, KeyValue

# An entry may have some hundred KB.
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Found:
    """What the registry has for a domain, at a revision; None at 0: nothing. `problem` says why an
    entry that is there cannot be used."""

    sealed: Sealed | None = None
    revision: int = 0
    problem: str = ""


class Entries:
    """The entries of one fleet. `seal` signs what is written; `now` tells seconds since the
    epoch."""

    def __init__(
        self,
        engine: Engine,
        keys: Keys,
        seal: Callable[[Entry], Sealed] = Sealed,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.keys = keys
        self._now = now
        self._engine = engine
        self._seal = seal

    async def get(self, domain: str) -> Found:
        """What there is for a domain."""
        held = await self._engine.get(self.keys.vassal(domain))
        return Found() if held is None else self._found(domain, held)

    async def get_all(self, domains: Iterable[str]) -> dict[str, Found]:
        """What there is for each of some domains."""
        names = tuple(domains)
        return dict(zip(names, await asyncio.gather(*map(self.get, names)), strict=True))

    async def write(self, entries: Sequence[Entry], before: Mapping[str, Found]) -> None:
        """Write all of them or none, if the registry still has for each name what was `before`.
        Raises Outdated, with the key of one that has changed, and BrokenEntry."""
        for entry in entries:
            refuse_serial_beyond(entry, self._now())
        values = {self.keys.vassal(e.domain): encoded(self._seal(e)) for e in entries}
        expected = {self.keys.vassal(name): each.revision for name, each in before.items()}
        await self._engine.put(values, expected)

    async def all(self) -> AsyncIterator[KeyValue]:
        """The keys of all domains, page by page, in the order of their buckets."""
        async for page in pages(self._engine, self.keys.vassals(), _PAGE):
            for each in page.entries:
                yield each

    def found_at(self, held: KeyValue) -> tuple[str, Found]:
        """The domain of a key among all of them, and what the key has, with the cure of a problem.
        A key where no backend looks is one."""
        domain = self.keys.domain(held.key)
        right = self.keys.vassal(domain)
        if held.key != right:
            why = f"its key is {held.key}, where no backend looks; it would be {right}: delete it"
            return domain, Found(None, held.revision, why)
        found = self._found(domain, held)
        if found.problem:
            found = replace(found, problem=f"{found.problem}; put it again")
        return domain, found

    def _found(self, domain: str, held: KeyValue) -> Found:
        """What the key of a domain has."""
        try:
            sealed = decoded(domain, held.value)
            refuse_serial_beyond(sealed.entry, self._now())
        except BrokenEntry as error:
            return Found(None, held.revision, str(error))
        return Found(sealed, held.revision)
