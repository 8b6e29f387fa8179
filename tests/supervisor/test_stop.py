"""All vassals are stopped, because the daemon ends."""

import asyncio
from collections.abc import Callable, Collection
from itertools import pairwise

import pytest

from emperor.supervisor import slices
from emperor.supervisor.records import Child
from emperor.supervisor.stop import stop_all
from tests.eventually import eventually_async
from tests.supervisor.world import World

MANY = 60


def _nothing(_: Collection[Child]) -> None:
    pass


@pytest.fixture
def one_in_each_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)


async def stopping(
    world: World, told: Callable[[Collection[Child]], None] = _nothing
) -> tuple["asyncio.Task[None]", asyncio.Event]:
    """The stop, when all have been dismissed, and the event that makes it hurry."""
    hurry, dismissed = asyncio.Event(), asyncio.Event()

    def tell(children: Collection[Child]) -> None:
        dismissed.set()
        told(children)

    task = asyncio.create_task(stop_all(world.governor, hurry, tell))
    await dismissed.wait()
    return task, hurry


@pytest.mark.usefixtures("one_in_each_slice")
async def test_a_stop_of_many_leaves_turns_to_the_loop() -> None:
    world = World()
    for number in range(MANY):
        world.add(f"app{number}.example")
    task = asyncio.create_task(stop_all(world.governor, asyncio.Event(), _nothing))
    left = [len(world.governor.vassals)]
    while not task.done():
        await asyncio.sleep(0)
        left.append(len(world.governor.vassals))
    assert left[-1] == 0
    assert max(before - after for before, after in pairwise(left)) == 1


async def test_a_stop_ends_with_the_last_process() -> None:
    world = World()
    process = world.run()
    children: list[Child] = []
    task, _ = await stopping(world, children.extend)
    assert [child.process.pid for child in children] == [process.pid]
    await asyncio.sleep(0)
    assert not task.done()
    process.exits()
    await task


async def test_a_stop_that_hurries_kills_what_is_left() -> None:
    world = World()
    process = world.run()
    task, hurry = await stopping(world)
    assert "kill 100" not in world.actions
    hurry.set()
    await eventually_async(lambda: "kill 100" in world.actions)
    process.exits()
    await task


@pytest.mark.usefixtures("one_in_each_slice")
async def test_no_app_boots_during_a_stop() -> None:
    world = World(None, max_starting="1")
    others = [world.add(f"app{number}.example") for number in range(3)]
    world.hit()
    for other in others[:2]:
        world.hit(other)
    asyncio.get_running_loop().call_soon(world.hit, others[2])
    task, _ = await stopping(world)
    world.launcher.last.exits()
    await task
    assert len(world.launcher.started) == 1
