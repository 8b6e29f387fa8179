"""Tells the machine that runs an app that must not run twice that its visitors come to another.

The load balancers send them there, where they are answered 503.

A wish is a key with a lease of its own, which nobody renews: it ends when nobody comes any more.
Anybody could have an app go around in the fleet, with a visit now and then to each machine that
answers for one of its host names. So a key tells all machines for a while that it went.
"""

import asyncio
from contextlib import suppress

from emperor.model.once import (
    GIVEN_SECONDS,
    UNKNOWN,
    WISH_LEASE_SECONDS,
    WISH_SECONDS,
    Holder,
    decoded,
    encoded,
)
from emperor.registry.link import Link
from emperor.registry.pages import pages
from emperor.registry.port import CannotReach, Outdated, RegistryRefused

_AWAY = (CannotReach, RegistryRefused, Outdated)


class Wishes:
    """Those of this machine, and of others."""

    def __init__(self, link: Link, me: Holder, tasks: asyncio.TaskGroup) -> None:
        self._link = link
        self._me = me
        self._tasks = tasks
        self._told: set[str] = set()

    def tell(self, domain: str) -> None:
        """A visitor of that app has come to this machine. However many come, that is told a few
        times a minute."""
        if domain not in self._told:
            self._told.add(domain)
            asyncio.get_running_loop().call_later(WISH_SECONDS, self._told.discard, domain)
            self._tasks.create_task(self._tell(domain))

    async def _tell(self, domain: str) -> None:
        connection = await self._link.connection()
        engine, key = connection.engine, connection.keys.wish(domain)
        with suppress(*_AWAY):
            found = await engine.get(key)
            lease = await engine.grant(WISH_LEASE_SECONDS)
            expected = {key: found.revision if found else 0}
            await engine.put({key: encoded(self._me)}, expected, lease)

    async def of_others(self) -> dict[str, str]:
        """The address of a machine to which visitors of an app come, for each such app. None while
        the registry does not answer."""
        connection = await self._link.connection()
        found = {}
        with suppress(*_AWAY):
            async for page in pages(connection.engine, connection.keys.wishes()):
                for entry in page.entries:
                    if (holder := decoded(entry.value)) not in (self._me, UNKNOWN):
                        found[connection.keys.domain(entry.key)] = holder.address
        return found

    async def may_go(self, domain: str) -> bool:
        """Note that an app goes to another machine. Returns False if one has gone lately, or if the
        registry does not answer."""
        connection = await self._link.connection()
        engine, key = connection.engine, connection.keys.given(domain)
        with suppress(*_AWAY):
            if await engine.get(key) is None:
                lease = await engine.grant(GIVEN_SECONDS)
                await engine.put({key: encoded(self._me)}, {key: 0}, lease)
                return True
        return False
