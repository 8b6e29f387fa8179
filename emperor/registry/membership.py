"""Registers this backend in the registry of its fleet, so that operators and load balancers know
that it is up, what it can do, and whether it drains.

Its key has a lease, and vanishes after `LEASE_SECONDS` without a sign of life. The balancers do not
go by that for single requests: they probe. So nothing happens at once if the registry is away, and
the backend goes on as it is. When the registry is there again, it registers anew.

The next daemon of an upgrade, or after a crash, goes on with the key of the one before it.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from emperor.guarded import guarded
from emperor.model.member import BrokenMember, Member, decoded, encoded
from emperor.model.registry_status import MembershipStatus
from emperor.registry.faults import faults_as_silence
from emperor.registry.port import CannotReach, Connection, KeyValue, Outdated, RegistryRefused

log = logging.getLogger("emperord.membership")

LEASE_SECONDS = 30
# After a failure, and when a lease is lost: all backends lose theirs at the same moment.
_RETRY_SECONDS = (1.0, 3.0)
# How many apps are awake changes all the time, and nobody needs it at once. Whether any is, people
# look at first.
_AWAKE_SECONDS = 60.0
_LEAVE_SECONDS = 2.0


class Membership:
    """The membership of one backend. `me` is how it is now; its `since` is the time now, which
    counts when it is registered. `clock` tells monotonic seconds; `reached` is called with None
    when the registry has answered, and else with why it has not."""

    def __init__(
        self,
        connection: Connection,
        me: Callable[[], Member],
        clock: Callable[[], float],
        reached: Callable[[Exception | None], None],
        lease_seconds: int = LEASE_SECONDS,
    ) -> None:
        self._engine = connection.engine
        self._keys = connection.keys
        self._key = connection.keys.backend(me().address)
        # Under which the daemon before was registered, if that was another one.
        self.address_before = ""
        self._me = me
        self._clock = clock
        self._reached = reached
        self._lease_seconds = lease_seconds
        # Three signs of life within a lease.
        self._renew_seconds = lease_seconds / 3
        self._lease: int | None = None
        self._written: Member | None = None
        self._written_at = 0.0
        self._revision = 0
        self._occupied_since: float | None = None
        self._told = ""
        self._confirmed_at: float | None = None
        self._failures, self._why = 0, ""
        self._news = asyncio.Event()

    def changed(self) -> None:
        """The backend is another than before: it drains, for instance."""
        self._news.set()

    async def run(self) -> None:
        """Be registered, until this is cancelled."""
        while True:
            self._news.clear()
            try:
                with faults_as_silence(log, "stay registered with the fleet", Outdated):
                    wait = await self._step()
                self._reached(None)
            except Outdated:
                # Somebody else has written or deleted the key.
                self._lease = None
                wait = random.uniform(0.1, 0.5)
            except CannotReach as error:
                self._failed(str(error))
                self._reached(error)
                wait = random.uniform(*_RETRY_SECONDS)
            except RegistryRefused as error:
                self._failed(str(error))
                self._tell(
                    f"cannot register {self._me().address} with the fleet: {error}; it serves on,"
                    " and keeps its domains"
                )
                wait = random.uniform(*_RETRY_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    def status(self, now: datetime) -> MembershipStatus:
        """Whether it is registered; `now` is the time of day."""
        if self._confirmed_at is None:
            return MembershipStatus(False, None, self._failures, self._why or None)
        ago = self._clock() - self._confirmed_at
        return MembershipStatus(
            self._lease is not None and ago < self._lease_seconds,
            now - timedelta(seconds=ago),
            self._failures,
            self._why or None,
        )

    async def leave(self) -> None:
        """Say that this backend is gone: it stops for good. `run` was cancelled."""
        if self._lease is None:
            return
        with (
            guarded(log, "leave the fleet"),
            suppress(CannotReach, RegistryRefused, TimeoutError),
        ):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._engine.revoke(self._lease)
        self._lease = None

    async def _step(self) -> float:
        """Do what is due, and return when to look again. Raises Outdated, and as an engine does."""
        asked_at = self._clock()
        if self._lease is not None and not await self._engine.renew(self._lease):
            log.info("the registry has given up on this backend; registering anew")
            self._lease, self._told = None, ""
            return random.uniform(0.0, _RETRY_SECONDS[0])
        found = await self._engine.get(self._key)
        if self._lease is None:
            return await self._register(found, asked_at)
        # Any member may have answered, and one that is behind tells an older state.
        if found is None or found.revision > self._revision:
            raise Outdated(self._key)
        await self._write(self._lease, self._written, self._revision)
        self._registered(asked_at)
        return self._renew_seconds

    async def _register(self, found: KeyValue | None, asked_at: float) -> float:
        """Take the key, unless another machine has it."""
        before = _record(self._me().address, found)
        if found and (before is None or before.machine != self._me().machine):
            return self._wait_for(before)
        self._occupied_since = None
        lease = await self._engine.grant(self._lease_seconds)
        try:
            await self._write(lease, before, found.revision if found else 0)
        except Outdated:
            await self._engine.revoke(lease)
            raise
        self._lease = lease
        self._registered(asked_at)
        await self._leave_address_before()
        return self._renew_seconds

    async def _leave_address_before(self) -> None:
        """Delete the key of an earlier address: else this machine is there twice for a while."""
        address, self.address_before = self.address_before, ""
        if not address:
            return
        key = self._keys.backend(address)
        with suppress(Outdated, CannotReach, RegistryRefused):
            found = await self._engine.get(key)
            record = _record(address, found)
            if found and record and record.machine == self._me().machine:
                await self._engine.delete(key, found.revision)
                log.info("%s is not the address of this backend any more", address)

    def _wait_for(self, other: Member | None) -> float:
        """The key may be what is left of this machine before a reboot, and end with its lease."""
        if self._occupied_since is None:
            self._occupied_since = self._clock()
        if self._clock() - self._occupied_since > 1.2 * self._lease_seconds:
            version = f", with emperord {other.version}" if other else ""
            why = (
                f"another machine has that address{version}; set a fleet-address of its own on each"
                " backend"
            )
            self._failed(why)
            self._tell(f"cannot register {self._me().address} with the fleet: {why}")
        return self._renew_seconds

    async def _write(self, lease: int, before: Member | None, revision: int) -> None:
        """Write how the backend is now, if that is another than before or the lease is."""
        now = self._me()
        if before:
            now = replace(now, since=before.since)
        if lease == self._lease and self._is_told(now):
            return
        values = {self._key: encoded(now)}
        self._revision = await self._engine.put(values, {self._key: revision}, lease)
        self._written, self._written_at = now, self._clock()

    def _is_told(self, now: Member) -> bool:
        before = self._written
        if before is None or self._clock() - self._written_at >= _AWAKE_SECONDS:
            return now == before
        if bool(now.capacity.awake) != bool(before.capacity.awake):
            return False
        return now == replace(before, capacity=now.capacity)

    def _failed(self, why: str) -> None:
        self._failures += 1
        self._why = why or "it does not answer"

    def _registered(self, asked_at: float) -> None:
        self._confirmed_at, self._why = asked_at, ""
        if self._told != "registered":
            self._told = "registered"
            log.info("registered %s with the fleet", self._me().address)

    def _tell(self, problem: str) -> None:
        """Log a problem, once until there is another one."""
        if self._told != problem:
            self._told = problem
            log.warning("%s", problem)


def _record(address: str, found: KeyValue | None) -> Member | None:
    """What the registry has of an address, None if it cannot be read."""
    if found is None:
        return None
    with suppress(BrokenMember):
        return decoded(address, found.value)
    return None
