"""What a daemon has of its fleet: the connection to the registry, the apps that must not run twice,
and the registration of this machine. Without a registry nothing of these is imported."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from emperor.model.permits import NoFleet, Permission, Permits
from emperor.model.registry_status import MembershipStatus
from emperor.model.settings import Settings
from emperor.model.share import Share
from emperor.supervisor.records import Vassal
from emperor.web.drain import Drain

if TYPE_CHECKING:
    from emperor.registry.daemon_membership import DaemonMembership
    from emperor.registry.link import Link
    from emperor.registry.once import Once


class Fleet:
    """The fleet of one daemon, or that it has none. `link` is the connection to the registry."""

    def __init__(self, settings: Settings, tasks: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._tasks = tasks
        self.link = _link_of(settings, tasks)
        self._once = _once_of(settings, self.link, tasks)
        self._membership: DaemonMembership | None = None

    def add_member(self, drain: Drain, vassals: Iterable[Vassal]) -> None:
        """Have this machine registered from `start` on, if it has an address in the fleet."""
        if self.link is None or not self._settings.fleet_address:
            return
        from emperor.registry.daemon_membership import DaemonMembership  # noqa: PLC0415

        self._membership = DaemonMembership(
            self._settings,
            self.link,
            drains=lambda: drain.since is not None,
            awake=lambda: sum(bool(vassal.children) for vassal in vassals),
        )

    @property
    def permits(self) -> Permits:
        """Which apps may run on this machine."""
        return self._once or NoFleet()

    @property
    def membership(self) -> Callable[[], MembershipStatus] | None:
        """Tells whether this machine is registered; None: it has no place in a fleet."""
        return self._membership.status if self._membership else None

    @property
    def share(self) -> Callable[[Sequence[tuple[str, ...]]], Awaitable[Share]] | None:
        """Tells which domains belong here; None: this machine has no place in a fleet."""
        return self._membership.share if self._membership else None

    def refusal(self) -> str:
        """Why a new daemon could not go on with this registry; empty if it can."""
        return self.link.refusal() if self.link else ""

    def start(self, permission: Permission) -> None:
        """Ask from now on which apps may run here."""
        if self._once:
            self._once.start(permission)

    def join(self) -> None:
        """Be registered from now on."""
        if self._membership:
            self._membership.join(self._tasks)

    def drained(self) -> None:
        """The machine drains, or does no longer."""
        if self._membership:
            self._membership.changed()

    async def leave(self) -> None:
        """The daemon stops for good: load balancers are told."""
        if self._membership:
            await self._membership.leave()

    async def close(self) -> None:
        """All apps have ended: other machines may run them."""
        try:
            if self._once:
                await self._once.stop()
        finally:
            if self.link:
                await self.link.close()


def _link_of(settings: Settings, tasks: asyncio.TaskGroup) -> "Link | None":
    if settings.registry_config is None:
        return None
    from emperor.registry.link import Link  # noqa: PLC0415

    return Link(settings.registry_config, tasks)


def _once_of(settings: Settings, link: "Link | None", tasks: asyncio.TaskGroup) -> "Once | None":
    if link is None:
        return None
    from emperor.registry.daemon_membership import once  # noqa: PLC0415

    return once(settings, link, tasks)
