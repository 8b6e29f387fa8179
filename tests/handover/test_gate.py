"""The gate that an upgrade closes while child processes run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from emperor.handover.gate import Gate


class Work:
    """A task that passes the gate and stays inside until `end` is set."""

    def __init__(self, gate: Gate) -> None:
        self.is_inside = False
        self.end = asyncio.Event()
        self.task = asyncio.create_task(self._run(gate))

    async def _run(self, gate: Gate) -> None:
        async with gate.passing():
            self.is_inside = True
            try:
                await self.end.wait()
            finally:
                self.is_inside = False

    async def finish(self) -> None:
        self.end.set()
        await self.task


class Closer:
    """A task that closes the gate until `open` is set."""

    def __init__(self, gate: Gate) -> None:
        self.has_closed = False
        self.open = asyncio.Event()
        self.task = asyncio.create_task(self._run(gate))

    async def _run(self, gate: Gate) -> None:
        async with gate.closed():
            self.has_closed = True
            await self.open.wait()


async def let_tasks_run() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def one_inside(gate: Gate) -> AsyncIterator[Work]:
    work = Work(gate)
    await let_tasks_run()
    assert work.is_inside
    yield work


async def test_an_open_gate_lets_all_pass_at_once() -> None:
    gate = Gate()
    works = [Work(gate) for _ in range(3)]
    await let_tasks_run()
    assert all(work.is_inside for work in works)
    for work in works:
        await work.finish()


class Repeated:
    """Work that can be repeated, and ends when it is told to."""

    def __init__(self, gate: Gate) -> None:
        self.begun = 0
        self.is_inside = False
        self.end = asyncio.Event()
        self.task = asyncio.create_task(gate.repeat(self._work))

    async def _work(self) -> str:
        self.begun += 1
        self.is_inside = True
        try:
            await self.end.wait()
        finally:
            self.is_inside = False
        return "done"


async def test_closing_cancels_what_can_be_repeated() -> None:
    gate = Gate()
    works = [Repeated(gate) for _ in range(3)]
    await let_tasks_run()
    async with gate.closed():
        assert not any(work.is_inside for work in works)
    await let_tasks_run()
    for work in works:
        assert (work.begun, work.is_inside) == (2, True)
        work.end.set()
        assert await work.task == "done"


async def test_work_that_is_cancelled_is_not_repeated() -> None:
    gate = Gate()
    work = Repeated(gate)
    await let_tasks_run()
    closing = Closer(gate)
    work.task.cancel()
    await let_tasks_run()
    assert (closing.has_closed, work.begun) == (True, 1)
    assert work.task.cancelled()
    closing.open.set()


async def test_work_that_fails_while_the_gate_closes_fails() -> None:
    gate = Gate()

    async def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        await gate.repeat(fail)
    async with gate.closed():
        pass


async def test_closing_waits_for_tasks_inside() -> None:
    gate = Gate()
    async with one_inside(gate) as first, one_inside(gate) as second:
        closer = Closer(gate)
        await first.finish()
        await let_tasks_run()
        assert not closer.has_closed
        await second.finish()
        await let_tasks_run()
        assert closer.has_closed
    closer.open.set()
    await closer.task


async def test_a_closed_gate_keeps_others_out_until_it_opens() -> None:
    gate = Gate()
    async with gate.closed():
        late = Work(gate)
        await let_tasks_run()
        assert not late.is_inside
    await let_tasks_run()
    assert late.is_inside
    await late.finish()


async def test_closing_does_not_wait_for_tasks_outside() -> None:
    gate = Gate()
    async with one_inside(gate) as inside:
        closer = Closer(gate)
        await let_tasks_run()
        outside = [Work(gate) for _ in range(3)]
        await inside.finish()
        await let_tasks_run()
        assert closer.has_closed
        assert not any(work.is_inside for work in outside)
    closer.open.set()
    await closer.task
    for work in outside:
        await work.finish()


async def test_a_gate_closed_again_at_once_stays_closed() -> None:
    gate = Gate()
    async with gate.closed():
        late = Work(gate)
        await let_tasks_run()
    # By now `late` is scheduled, but it has not run yet.
    async with gate.closed():
        await let_tasks_run()
        assert not late.is_inside
    await late.finish()


async def test_a_gate_closed_twice_opens_after_the_last() -> None:
    gate = Gate()
    first, second = Closer(gate), Closer(gate)
    await let_tasks_run()
    late = Work(gate)
    first.open.set()
    await first.task
    await let_tasks_run()
    assert not late.is_inside
    second.open.set()
    await second.task
    await late.finish()


@pytest.mark.parametrize("is_inside", [True, False])
async def test_a_cancelled_passage_leaves_no_trace(is_inside: bool) -> None:
    gate = Gate()
    closer = None if is_inside else Closer(gate)
    await let_tasks_run()
    work = Work(gate)
    await let_tasks_run()
    assert work.is_inside == is_inside
    work.task.cancel()
    await asyncio.wait([work.task])
    if closer:
        closer.open.set()
        await closer.task
    async with asyncio.timeout(1), gate.closed():
        pass


async def test_a_cancelled_closing_opens_the_gate() -> None:
    gate = Gate()
    async with one_inside(gate) as inside:
        closer = Closer(gate)
        await let_tasks_run()
        closer.task.cancel()
        await asyncio.wait([closer.task])
        async with one_inside(gate) as late:
            await late.finish()
        await inside.finish()
