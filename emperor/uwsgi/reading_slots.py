"""Lets inis that take time be read in turn, so that those of one tenant do not keep others unread.

uWSGI reads a few inis at once, in the order in which they ask. A tenant can have each of its inis
take ten seconds, by a pipe that it includes. So a tenant asks for one after the other, and the next
one of a neighbour is read after one of each tenant.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ReadingSlots:
    """One slot for each tenant, and so many for the administrators together."""

    def __init__(self, of_administrators: int) -> None:
        self._of_administrators = asyncio.Semaphore(of_administrators)
        # With the number of inis that use it or wait for it.
        self._of_tenants: dict[int, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, tenant: int | None) -> AsyncIterator[None]:
        """Wait for a slot of the user whose ini it is (None: an administrator), and have it for the
        block."""
        if tenant is None:
            async with self._of_administrators:
                yield
            return
        slot, users = self._of_tenants.get(tenant, (asyncio.Semaphore(1), 0))
        self._of_tenants[tenant] = slot, users + 1
        try:
            async with slot:
                yield
        finally:
            self._leave(tenant)

    def _leave(self, tenant: int) -> None:
        slot, users = self._of_tenants.pop(tenant)
        if users > 1:
            self._of_tenants[tenant] = slot, users - 1
