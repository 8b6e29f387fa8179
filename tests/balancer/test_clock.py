"""The wall clock of a balancer jumps, as it does when the machine's time is corrected."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.balancer.backends import three
from tests.balancer.certificates import NAME, Counter, make
from tests.balancer.fleet import BROKE_OFF, REFUSED, Fleet, Machine, running
from tests.eventually import eventually_async
from tests.faults.clock import Clock
from tests.http_client import Request

HOUR = 3600
# A test does not wait for as long as an overload may take.
QUICK = {"TIMEOUT_MS = 15000": "TIMEOUT_MS = 1000"}

jumps = pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forwards", "back"])


@pytest.fixture
def clock(folder: Path) -> Clock:
    return Clock(folder)


@pytest.fixture
async def fleet(folder: Path, clock: Clock) -> AsyncIterator[Fleet]:
    """A balancer with a clock of its own, in front of three backends that were probed."""
    async with running(folder, three(), machine=Machine(clock=clock)) as fleet:
        await eventually_async(lambda: all(backend.probes for backend in fleet.backends))
        yield fleet


@jumps
async def test_the_loss_and_the_return_of_a_backend_are_noticed(
    fleet: Fleet, clock: Clock, seconds: int
) -> None:
    fleet.balancer.expect(REFUSED)
    lost = fleet.backends[0]
    [host] = fleet.hosts(lost, 1)
    with clock.wrong_by(seconds):
        await lost.stop()
        await eventually_async(lambda: fleet.balancer.marks == [f"{lost.address} unreachable"])
        assert fleet.by(await fleet.ask(Request(host))) is not lost
        await lost.start()
        await eventually_async(lambda: fleet.balancer.marks[1:] == [f"{lost.address} well"])
        assert fleet.by(await fleet.ask(Request(host))) is lost


async def test_a_hanging_backend_is_left_though_the_clock_went_back(
    folder: Path, clock: Clock
) -> None:
    quick = {**QUICK, "SILENT = 20": "SILENT = 3"}
    async with running(folder, three(), quick, machine=Machine(clock=clock)) as fleet:
        fleet.balancer.expect(BROKE_OFF)
        hanging = fleet.backends[0]
        hanging.answer = hanging.hang
        async with asyncio.TaskGroup() as group:
            get = group.create_task(fleet.ask(Request(fleet.hosts(hanging, 1)[0])))
            await eventually_async(lambda: hanging.heard)
            hanging.may_tell.clear()
            await eventually_async(lambda: fleet.balancer.marks)
            with clock.wrong_by(-HOUR):
                await asyncio.wait([get])
        assert fleet.by(get.result()) is not hanging


async def test_a_backend_that_hangs_for_a_moment_keeps_its_requests(
    folder: Path, clock: Clock
) -> None:
    async with running(folder, three(), QUICK, machine=Machine(clock=clock)) as fleet:
        busy, other, _ = fleet.backends
        released = asyncio.Event()

        async def wait(request: web.BaseRequest) -> web.StreamResponse:
            await released.wait()
            return await busy.well(request)

        busy.answer = wait
        async with asyncio.TaskGroup() as group:
            request = Request(fleet.hosts(busy, 1)[0], method="POST", body=b"once")
            post = group.create_task(fleet.ask(request))
            await eventually_async(lambda: busy.heard)
            busy.may_tell.clear()
            await eventually_async(lambda: fleet.balancer.marks)
            with clock.wrong_by(HOUR):
                rounds = len(other.probes) + 4
                await eventually_async(lambda: len(other.probes) >= rounds)
            busy.may_tell.set()
            released.set()
        assert fleet.by(post.result()) is busy


@jumps
async def test_a_renewed_certificate_is_taken_up(
    folder: Path, clock: Clock, seconds: int, tmp_path: Path
) -> None:
    one = {"worker_processes auto": "worker_processes 1"}
    async with running(folder, three(), one, machine=Machine(clock=clock)) as fleet:
        counter = Counter(fleet)
        for jump in (0, seconds):
            pair = make(tmp_path, NAME)
            counter.install(NAME, pair.file)
            with clock.wrong_by(jump):
                await eventually_async(lambda: counter.shown(NAME) == pair.der)  # noqa: B023
