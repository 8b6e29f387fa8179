"""Held requests are released as fast as the queue of the listener takes them."""

import asyncio

from emperor.model.ports import QueueLength
from tests.eventually import eventually_async
from tests.supervisor.world import World
from tests.web.front import front


async def test_a_herd_goes_at_the_pace_of_the_queue() -> None:
    full, half = QueueLength(21, 21), QueueLength(0, 20)
    async with front(World(), lengths=[full, half, full, full, half]) as nginx:
        done: list[int] = []

        async def ask() -> None:
            done.append((await nginx.ask()).status)

        herd = [asyncio.create_task(ask()) for _ in range(30)]
        await eventually_async(lambda: nginx.held == 30)
        nginx.world.launcher.last.accepts()
        await eventually_async(lambda: len(done) == 10, what="half of the queue is let in")
        await asyncio.gather(*herd)
    assert done == [200] * 30


async def test_a_few_requests_need_no_measurement() -> None:
    # With a capacity of 0 no request would ever be released.
    async with front(World(), lengths=[QueueLength(0, 0), QueueLength(0, 100)]) as nginx:
        nginx.world.run()
        assert (await nginx.ask()).status == 200
        assert (await nginx.ask(tries="11")).status == 200
