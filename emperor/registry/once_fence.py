"""Tells the fence which processes of apps that must not run twice are to be killed, and when."""

import logging
from collections.abc import Collection, Mapping
from typing import Protocol

from emperor.linux.fence import Fenced
from emperor.model.spec import Once as Rule
from emperor.registry.once_app import OnceApp
from emperor.registry.once_lease import OnceLease

log = logging.getLogger("emperord.once_fence")


class Fence(Protocol):
    """Kills apps at a deadline."""

    def tell(self, apps: Collection[Fenced]) -> None:
        """Kill each of these at its deadline, and no others. Raises OSError."""

    def close(self) -> None:
        """Kill no app any more."""


class OnceFence:
    """Has `fence` kill `apps` at their deadlines: those without one of their own with `lease`."""

    def __init__(self, fence: Fence, apps: Mapping[str, OnceApp], lease: OnceLease) -> None:
        self._fence = fence
        self._apps = apps
        self._lease = lease

    def tell(self) -> None:
        """Tell it what is known of the apps and the lease now."""
        processes = self._fenced()
        try:
            self._fence.tell(processes)
        except OSError as error:
            log.error(
                "cannot have %d processes of apps with `once` killed when the lease ends: %s",
                len(processes), error,
            )  # fmt: skip

    def close(self) -> None:
        """Have no app killed any more."""
        self._fence.close()

    def _fenced(self) -> list[Fenced]:
        of_lease = self._lease.kill_at
        return [
            Fenced(pid, group, of_lease if app.deadline is None else app.deadline)
            for app in self._apps.values()
            if app.rule is Rule.STRICT
            for pid, group in app.groups.items()
        ]
