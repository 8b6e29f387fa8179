"""When facts of the past are written: soon, together, and never while nothing happens."""

import asyncio
from datetime import UTC, datetime

from emperor.model.history import MOST_WAITING, Batch, Hit, PastStop, StopKind, Stopped, Subject
from emperor.supervisor.history import DELAY_SECONDS, History
from tests.supervisor.fake_clock import FakeClock

A = Subject("a.example", 1000)
NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
STOPPED = Stopped(A, PastStop(NOON, StopKind.STOPPED, "idle", 1.0))


class Disk:
    """Takes batches; while it hangs, none comes to its end."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def write(self, batch: Batch) -> None:
        self.batches.append(batch)
        await self.goes_on.wait()


async def _turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_within_a_second_is_written_together() -> None:
    clock, disk = FakeClock(), Disk()
    history = History(clock, disk.write)
    assert clock.pending == 0, "at rest no timer is set"
    history.keep(STOPPED)
    clock.advance(DELAY_SECONDS / 2)
    history.keep(Hit(A, NOON))
    assert clock.pending == 1
    assert disk.batches == []
    clock.advance(DELAY_SECONDS / 2)
    await _turn()
    [batch] = disk.batches
    assert (batch.facts, batch.hits.total()) == ([STOPPED], 1)
    assert clock.pending == 0, "at rest again"


async def test_a_disk_that_hangs_costs_no_more_than_a_batch() -> None:
    clock, disk = FakeClock(), Disk()
    history = History(clock, disk.write)
    disk.goes_on.clear()
    history.keep(STOPPED)
    clock.advance(DELAY_SECONDS)
    await _turn()
    for _ in range(MOST_WAITING + 7):
        history.keep(STOPPED)
    clock.advance(60)
    await _turn()
    assert len(disk.batches) == 1
    disk.goes_on.set()
    await _turn()
    clock.advance(DELAY_SECONDS)
    await _turn()
    assert [len(batch.facts) for batch in disk.batches] == [1, MOST_WAITING]
    assert disk.batches[-1].lost == 7
    assert clock.pending == 0


async def test_a_flush_waits_for_all_that_was_kept() -> None:
    clock, disk = FakeClock(), Disk()
    history = History(clock, disk.write)
    await history.flush()
    assert disk.batches == []
    disk.goes_on.clear()
    history.keep(STOPPED)
    clock.advance(DELAY_SECONDS)
    await _turn()
    history.keep(STOPPED)
    flushing = asyncio.ensure_future(history.flush())
    await _turn()
    assert not flushing.done()
    disk.goes_on.set()
    await flushing
    assert len(disk.batches) == 2
    assert clock.pending == 0


async def test_a_reader_that_leaves_ends_no_writing() -> None:
    clock, disk = FakeClock(), Disk()
    history = History(clock, disk.write)
    disk.goes_on.clear()
    history.keep(STOPPED)
    flushing = asyncio.ensure_future(history.flush())
    await _turn()
    flushing.cancel()
    await _turn()
    disk.goes_on.set()
    await history.flush()
    assert [len(batch.facts) for batch in disk.batches] == [1]
