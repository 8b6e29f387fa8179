"""What visitors ask for reaches the registry in small portions, and a registry that is away holds
nobody up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from emperor.model.registry_keys import Keys, Span
from emperor.registry import reads as reads_module
from emperor.registry.port import CannotReach, Connection, Page
from emperor.registry.reads import AT_ONCE, Read, Reads
from tests.registry.memory_engine import MemoryEngine

KEYS = Keys("/emperord")


class SlowEngine(MemoryEngine):
    """Answers when `gate` is open, and counts what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0

    async def page(self, span: Span, limit: int = 500, *, fresh: bool = False) -> Page:
        self.asked.append(span.start)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            return await super().page(span, limit, fresh=fresh)
        finally:
            self.at_once -= 1


class Site:
    """Reads of a slow engine, with a clock that a test sets."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.engine = SlowEngine()
        self.now = 1000.0
        self.told: list[Exception | None] = []
        self.reads = Reads(tasks, lambda: self.now, self.told.append)
        self.reads.connect(Connection(self.engine, KEYS))

    async def put(self, domain: str, value: bytes) -> int:
        return await self.engine.put({KEYS.vassal(domain): value}, {})


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    async with asyncio.TaskGroup() as tasks:
        yield Site(tasks)


async def test_what_is_there_is_read_with_its_revision() -> None:
    async with site() as here:
        written = await here.put("a.example", b"1")
        await here.put("b.example", b"2")
        assert await here.reads.read("a.example") == Read(b"1", written + 1, written)
        assert await here.reads.read("c.example") == Read(None, written + 1)


async def test_all_who_want_a_name_share_one_read() -> None:
    async with site() as here:
        await here.put("a.example", b"1")
        found = await asyncio.gather(*(here.reads.read("a.example") for _ in range(500)))
        assert {each.value for each in found} == {b"1"}
        assert len(here.engine.asked) == 1


async def test_who_leaves_does_not_end_the_read_of_others() -> None:
    async with site() as here:
        await here.put("a.example", b"1")
        here.engine.gate.clear()
        first = asyncio.create_task(here.reads.read("a.example"))
        await asyncio.sleep(0)
        second = asyncio.create_task(here.reads.read("a.example"))
        await asyncio.sleep(0)
        first.cancel()
        here.engine.gate.set()
        assert (await second).value == b"1"


async def test_a_flood_of_names_comes_in_small_portions() -> None:
    async with site() as here:
        names = [f"{number}.example" for number in range(3000)]
        outcomes = await here.reads.read_all(names)
        assert here.engine.most_at_once == AT_ONCE
        refused = [each for each in outcomes if isinstance(each, CannotReach)]
        assert len(refused) == 3000 - reads_module._MOST_WAITING
        assert here.told.count(None) == len(here.told), "the registry is not to blame"


async def test_a_name_that_is_not_there_is_remembered() -> None:
    async with site() as here:
        await here.reads.read("a.example")
        assert here.reads.is_absent("a.example")
        assert not here.reads.is_absent("b.example")
        here.now += reads_module._ABSENT_SECONDS
        assert not here.reads.is_absent("a.example")


async def test_what_the_registry_tells_is_no_longer_absent() -> None:
    async with site() as here:
        await here.reads.read("a.example")
        here.reads.written("a.example")
        assert not here.reads.is_absent("a.example")


async def test_the_memory_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_module, "_MOST_ABSENT", 10)
    async with site() as here:
        for number in range(30):
            await here.reads.read(f"{number}.example")
        remembered = [n for n in range(30) if here.reads.is_absent(f"{n}.example")]
        assert remembered == list(range(20, 30))


async def test_a_registry_that_is_away_is_asked_again_after_a_pause() -> None:
    async with site() as here:
        await here.engine.cut()
        for _ in range(100):
            with pytest.raises(CannotReach, match="no member of the registry answers"):
                await here.reads.read("a.example")
        assert len(here.engine.asked) == len(here.told) == 1
        await here.engine.mend()
        here.now += reads_module._PAUSE_SECONDS
        assert (await here.reads.read("a.example")).value is None
        assert here.told[-1] is None


async def test_a_registry_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_module, "PATIENCE_SECONDS", 0.05)
    async with site() as here:
        here.engine.gate.clear()
        with pytest.raises(CannotReach, match=r"it has not answered for 0\.05 seconds"):
            await here.reads.read("a.example")
        assert len(here.told) == 1


async def test_a_daemon_without_a_connection_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_module, "PATIENCE_SECONDS", 0.05)
    async with site() as here:
        here.reads.connect(None)
        with pytest.raises(CannotReach):
            await here.reads.read("a.example")


async def test_a_fault_is_an_answer_that_did_not_come(caplog: pytest.LogCaptureFixture) -> None:
    async with site() as here:
        here.engine.fault = ZeroDivisionError()
        with pytest.raises(CannotReach, match="a fault in emperord; its log has the traceback"):
            await here.reads.read("a.example")
        here.engine.fault = None
        here.now += reads_module._PAUSE_SECONDS
        assert (await here.reads.read("a.example")).value is None
    assert "cannot read what the registry has for 'a.example': a fault in emperord" in caplog.text
