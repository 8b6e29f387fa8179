"""Stops all vassals, because the daemon ends."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator

from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Child, Vassal
from emperor.supervisor.slices import slices

WHY = "emperord stops"


async def stop_all(
    governor: Governor, hurry: asyncio.Event, told: Callable[[Collection[Child]], None]
) -> None:
    """Dismiss all vassals, and return when the last process has ended. `told` is called with the
    processes that are left when all have been asked to stop; `hurry` kills these."""
    all_gone = asyncio.Event()

    def check() -> None:
        if not len(governor.vassals):
            all_gone.set()

    def subscribed(vassals: Iterable[Vassal]) -> Iterator[Vassal]:
        for vassal in vassals:
            governor.subscribers.add(vassal.spec.domain, check)
            yield vassal

    governor.end_boots()
    async for part in slices(governor.vassals):
        with governor.checkpoint.batch():
            governor.dismiss_all(subscribed(part), WHY)
    check()
    told([child for vassal in governor.vassals for child in vassal.children])
    killing = asyncio.ensure_future(_kill_when(hurry, governor))
    try:
        await all_gone.wait()
    finally:
        killing.cancel()


async def _kill_when(hurry: asyncio.Event, governor: Governor) -> None:
    await hurry.wait()
    governor.kill_all()
