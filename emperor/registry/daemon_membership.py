"""Keeps this machine registered with its fleet while the daemon runs, and wires what lets apps run
that must not run twice."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from emperor import __version__
from emperor.guarded import kept_up
from emperor.linux.fence import FenceClient
from emperor.linux.limits import machine_for_limits
from emperor.model.member import Capacity, Member
from emperor.model.registry_status import MembershipStatus
from emperor.model.settings import Settings
from emperor.model.share import Share
from emperor.registry.link import Link
from emperor.registry.membership import Membership
from emperor.registry.once import Once
from emperor.registry.own_names import own_names
from emperor.registry.own_share import own_share
from emperor.registry.reachability import Asker

log = logging.getLogger("emperord.daemon_membership")

# After a fault.
_RETRY_SECONDS = 2.0


class DaemonMembership:
    """Registers this backend under `fleet-address`. `drains` tells whether the machine drains, and
    `awake` how many apps have a process."""

    def __init__(
        self,
        settings: Settings,
        link: Link,
        drains: Callable[[], bool],
        awake: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._link = link
        self._drains = drains
        self._awake = awake
        self._names = own_names(settings)
        self._membership: Membership | None = None
        self._task: asyncio.Task[None] | None = None

    def join(self, tasks: asyncio.TaskGroup) -> None:
        """Be registered from now on."""
        run = kept_up(log, "register with the fleet", self._run, _RETRY_SECONDS)
        self._task = tasks.create_task(run)

    def changed(self) -> None:
        """The machine drains, or does no longer."""
        if self._membership:
            self._membership.changed()

    def status(self) -> MembershipStatus:
        """Whether this machine is registered."""
        if self._membership is None:
            why = None if self._link.reachability.is_reached else self._link.reachability.why
            return MembershipStatus(False, None, 0, why)
        return self._membership.status(datetime.now(UTC))

    async def share(self, served: Sequence[tuple[str, ...]]) -> Share:
        """Which of the domains that are served belong here: the hosts of each ini, its domain
        first. Raises NoShare."""
        return await own_share(self._link, self._settings.fleet_address, served)

    async def leave(self) -> None:
        """The daemon stops for good."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._membership:
            await self._membership.leave()

    async def _run(self) -> None:
        if self._membership is None:
            connection = await self._link.connection()
            clock, tell = asyncio.get_running_loop().time, self._link.teller(Asker.MEMBERSHIP)
            self._membership = Membership(connection, self._me, clock, tell)
            if self._names.before:
                self._membership.address_before = self._names.before.address
        await self._membership.run()

    def _me(self) -> Member:
        settings = self._settings
        return Member(
            settings.fleet_address,
            self._names.now.machine,
            settings.fleet_weight,
            Capacity(os.cpu_count() or 1, machine_for_limits().memory_bytes, self._awake()),
            __version__,
            int(time.time()),
            self._drains(),
        )


def once(settings: Settings, link: Link, tasks: asyncio.TaskGroup) -> Once:
    """What lets apps of this machine run that must not run twice in the fleet."""
    fence = FenceClient(settings.run_dir / "once.sock")
    return Once(link, own_names(settings), fence, tasks)
