"""The engine in memory keeps the promises of the port, as far as tests rely on them."""

import asyncio

import pytest

from emperor.model.registry_keys import Span
from emperor.registry.port import CannotReach, Changes, Engine, KeyValue, Missed, Outdated
from tests.registry.memory_engine import MemoryEngine

ALL = Span("/", "0")


async def test_a_transaction_writes_all_or_nothing() -> None:
    engine: Engine = MemoryEngine()
    first = await engine.put({"/a": b"1", "/b": b"1"}, {"/a": 0, "/b": 0})
    with pytest.raises(Outdated):
        await engine.put({"/a": b"2", "/b": b"2"}, {"/a": first, "/b": 0})
    assert await engine.get("/a") == KeyValue("/a", b"1", first)
    second = await engine.put({"/a": b"2"}, {"/a": first})
    page = await engine.page(ALL, limit=1)
    assert (page.entries, page.following) == ((KeyValue("/a", b"2", second),), "/b")


async def test_a_watch_has_no_gap_and_says_what_it_missed() -> None:
    engine = MemoryEngine()
    before = engine.revision
    lease = await engine.grant(10)
    written = await engine.put({"/a": b"1"}, {}, lease)
    watch = engine.watch([ALL], before)
    assert await anext(watch) == Changes(before)
    assert (await anext(watch)).written == (KeyValue("/a", b"1", written),)
    await engine.end(lease)
    assert (await anext(watch)).gone == ("/a",)
    assert not await engine.renew(lease)
    engine.compact()
    with pytest.raises(Missed):
        await anext(engine.watch([ALL], before))


async def test_a_watch_ends_when_it_is_away() -> None:
    engine = MemoryEngine()
    watch = engine.watch([ALL], engine.revision)
    await anext(watch)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_fails(watch.__anext__()))
        await engine.cut()
        await waiting


async def _fails(awaitable: object) -> None:
    with pytest.raises(CannotReach):
        await awaitable  # type: ignore[misc]
