"""Inis of one tenant are read one after the other, and keep those of others waiting for one."""

import asyncio

import pytest

from emperor.uwsgi.reading_slots import ReadingSlots

ALICE, MALLORY = 1001, 1002


class Reading:
    """The reading of an ini, which ends when it is told to."""

    def __init__(self, slots: ReadingSlots, tenant: int | None) -> None:
        self.has_begun = False
        self.end = asyncio.Event()
        self.task = asyncio.create_task(self._read(slots, tenant))

    async def _read(self, slots: ReadingSlots, tenant: int | None) -> None:
        async with slots.of(tenant):
            self.has_begun = True
            await self.end.wait()


async def begun(readings: list[Reading]) -> int:
    """How many have begun, when every task waits."""
    for _ in range(5):
        await asyncio.sleep(0)
    return sum(reading.has_begun for reading in readings)


@pytest.mark.parametrize(("tenant", "at_once"), [(MALLORY, 1), (None, 4)])
async def test_so_many_are_read_at_once(tenant: int | None, at_once: int) -> None:
    slots = ReadingSlots(4)
    readings = [Reading(slots, tenant) for _ in range(9)]
    assert await begun(readings) == at_once
    assert await begun([Reading(slots, ALICE)]) == 1
    for number, reading in enumerate(readings, 1):
        reading.end.set()
        assert await begun(readings) == min(number + at_once, 9)


async def test_a_reading_that_is_cancelled_leaves_its_slot() -> None:
    slots = ReadingSlots(4)
    first, waiting, last = (Reading(slots, MALLORY) for _ in range(3))
    assert await begun([first, waiting, last]) == 1
    waiting.task.cancel()
    first.task.cancel()
    assert await begun([last]) == 1
    last.end.set()
    await last.task
    assert await begun([Reading(slots, MALLORY)]) == 1
