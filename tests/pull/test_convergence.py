"""Whatever happens to a fleet, the disk of a backend ends as the registry."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.model.provided import Provided
from emperor.model.registration import Entry, RegisteredIni, RegisteredRemoval
from tests.eventually import eventually_async
from tests.pull.fleet_backend import backend_of, ini, put
from tests.registry.memory_engine import MemoryEngine

_DOMAINS = ("one.example", "two.example")


_EVENTS = st.lists(
    st.sampled_from(["put", "remove", "hit", "cut", "mend", "compact", "restart"]).flatmap(
        lambda event: st.tuples(st.just(event), st.sampled_from(_DOMAINS))
    ),
    max_size=15,
)


class Fleet:
    """A registry and a backend, to which things happen."""

    def __init__(self, place: Path, stack: AsyncExitStack) -> None:
        self.place, self.stack = place, stack
        self.engine = MemoryEngine()
        self.now: dict[str, Entry] = {}
        self.had: set[str] = set()

    async def start(self) -> None:
        self.backend = await self.stack.enter_async_context(backend_of(self.place, self.engine))

    async def happen(self, event: str, domain: str) -> None:
        serial = self.now[domain].serial + 1 if domain in self.now else 1
        match event:
            case "put" | "remove" if not self.engine.is_away:
                entry = ini(domain, serial, str(serial))
                self.now[domain] = entry if event == "put" else RegisteredRemoval(domain, serial)
                await put(self.engine, self.now[domain])
            case "hit":
                found = await self.backend.search.provide(domain)
                is_known = self.backend.idle(domain) is not None
                if self.engine.is_away and not is_known:
                    assert found in {Provided.UNSURE, Provided.NOTHING}
            case "cut":
                await self.engine.cut()
            case "mend":
                await self.engine.mend()
            case "compact":
                self.engine.compact()
            case "restart":
                await self.stack.aclose()
                await self.start()

    def wrong(self) -> list[str]:
        """The domains whose ini on the disk, or in effect, is not that of the registry."""
        return [domain for domain in _DOMAINS if not self._is_right(domain)]

    def _is_right(self, domain: str) -> bool:
        entry, text = self.now.get(domain), self.backend.text(domain)
        expected = entry.ini if isinstance(entry, RegisteredIni) else None
        idle = self.backend.idle(domain)
        return text in {None, expected} and idle == (None if text is None else int(text))


@settings(max_examples=40)
@given(events=_EVENTS)
def test_whatever_happens_a_backend_ends_as_the_registry(events: list[tuple[str, str]]) -> None:
    async def tell(folder: Path) -> None:
        async with AsyncExitStack() as stack:
            fleet = Fleet(folder, stack)
            await fleet.start()
            for event in events:
                await fleet.happen(*event)
            await fleet.engine.mend()
            await eventually_async(lambda: fleet.wrong() == [])

    with TemporaryDirectory() as folder:
        asyncio.run(tell(Path(folder)))
