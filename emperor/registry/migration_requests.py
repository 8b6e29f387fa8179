"""Tells the machine that runs an app that must not run twice that its visitors come to another.

The load balancers send them there, where they are answered 503.

A request is a key with a lease that nobody renews: it ends when nobody comes any more. Each time
that it is written, a visitor has come since the time before.

Anybody could have an app go around in the fleet, with a visit now and then to each machine that
answers for one of its host names. So a key tells all for a while that it migrates. The machine
that takes it deletes the key, and does not give it away itself for as long. When that one fails,
nothing keeps the app from returning to it later.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from emperor.guarded import guarded
from emperor.model.once import (
    MIGRATED_SECONDS,
    REQUEST_LEASE_SECONDS,
    UNKNOWN,
    Holder,
    decoded,
    encoded,
    request_delay,
)
from emperor.registry.faults import faults_as_silence
from emperor.registry.link import Link
from emperor.registry.paging import pages
from emperor.registry.port import CannotReach, Engine, Outdated, RegistryRefused

log = logging.getLogger("emperord.migration_requests")

_AWAY = (CannotReach, RegistryRefused, Outdated)


class MigrationRequests:
    """The requests of this machine, and those of others."""

    def __init__(self, link: Link, me: Holder, tasks: asyncio.TaskGroup) -> None:
        self._link = link
        self._me = me
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        # How often an app was told of, and when that was the last time.
        self._told: dict[str, tuple[int, float]] = {}
        # When an app has migrated to this machine.
        self._came: dict[str, float] = {}
        self._granting = asyncio.Lock()
        self._lease: int | None = None
        self._granted_at = 0.0

    def tell(self, domain: str) -> None:
        """A visitor of that app has come to this machine. However many come, that is told a few
        times a minute, and each second at first."""
        now = self._loop.time()
        count, at = self._told.get(domain, (0, now - REQUEST_LEASE_SECONDS))
        if now - at >= REQUEST_LEASE_SECONDS:
            count = 0
        elif now - at < request_delay(count):
            return
        self._told[domain] = count + 1, now
        self._tasks.create_task(self._tell(domain))

    async def _tell(self, domain: str) -> None:
        connection = await self._link.connection()
        try:
            with faults_as_silence(log, f"tell of a visitor of {domain}", Outdated):
                lease = await self._own_lease(connection.engine)
                value = {connection.keys.migration_request(domain): encoded(self._me)}
                await connection.engine.put(value, {}, lease)
        except _AWAY:
            self._lease = None

    async def _own_lease(self, engine: Engine) -> int:
        """One lease for all requests. At least half of its time is left."""
        async with self._granting:
            now = self._loop.time()
            if self._lease is None or now - self._granted_at > REQUEST_LEASE_SECONDS / 2:
                self._lease, self._granted_at = await engine.grant(REQUEST_LEASE_SECONDS), now
            return self._lease

    async def of_others(self) -> AsyncGenerator[tuple[str, Holder, int], None]:
        """An app, a machine to which a visitor of it has come, and the revision of that: first what
        the registry has, then whenever it happens. Raises what a watch raises."""
        connection = await self._link.connection()
        engine, keys = connection.engine, connection.keys
        span = keys.migration_requests()
        read = [page async for page in pages(engine, span)]
        known = [entry for page in read for entry in page.entries]
        async with aclosing(engine.watch([span], read[0].revision)) as watch:
            for entry in known:
                if (holder := decoded(entry.value)) not in (self._me, UNKNOWN):
                    yield keys.domain(entry.key), holder, entry.revision
            async for news in watch:
                for entry in news.written:
                    if (holder := decoded(entry.value)) not in (self._me, UNKNOWN):
                        yield keys.domain(entry.key), holder, entry.revision

    async def may_migrate(self, domain: str) -> bool:
        """Note that an app migrates to another machine. Returns False if it has done so lately, or
        if the registry does not answer."""
        connection = await self._link.connection()
        engine, key = connection.engine, connection.keys.migrated(domain)
        with suppress(*_AWAY):
            if await engine.get(key) is None and not self._has_come(domain):
                lease = await engine.grant(MIGRATED_SECONDS)
                await engine.put({key: encoded(self._me)}, {key: 0}, lease)
                return True
        return False

    def came(self, domain: str) -> None:
        """Another machine has given that app to this one, which has it now."""
        now = self._loop.time()
        self._came = {d: at for d, at in self._came.items() if now - at < MIGRATED_SECONDS}
        self._came[domain] = now
        self._tasks.create_task(self._note_arrival(domain))

    def _has_come(self, domain: str) -> bool:
        came = self._came.get(domain)
        return came is not None and self._loop.time() - came < MIGRATED_SECONDS

    async def _note_arrival(self, domain: str) -> None:
        connection = await self._link.connection()
        engine, key = connection.engine, connection.keys.migrated(domain)
        # Else it is there until its lease ends.
        with guarded(log, f"note that {domain} has come"), suppress(*_AWAY):
            if found := await engine.get(key):
                await engine.delete(key, found.revision)
