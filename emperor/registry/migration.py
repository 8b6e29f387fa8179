"""Decides that an app that must not run twice migrates to another machine of the fleet, where its
visitors come: load balancers send them there when that machine is back."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress

from emperor.guarded import guarded
from emperor.model.once import Holder, migrates, request_after
from emperor.registry.migration_requests import MigrationRequests
from emperor.registry.once_app import OnceApp
from emperor.registry.port import CannotReach, Missed, RegistryRefused

log = logging.getLogger("emperord.migration")

# Between two tries of a watch.
_RETRY_SECONDS = (2.0, 4.0)


class Migration:
    """Judges what is heard of the `apps` of this machine. `clock` tells seconds, `since_visitor`
    how long ago the last visitor of an app came here, and `give` is told to which machine an app is
    to go."""

    def __init__(
        self,
        requests: MigrationRequests,
        apps: Mapping[str, OnceApp],
        clock: Callable[[], float],
        since_visitor: Callable[[str], float | None],
        give: Callable[[str, OnceApp, Holder], None],
    ) -> None:
        self._requests = requests
        self._apps = apps
        self._clock = clock
        self._since_visitor = since_visitor
        self._give = give

    @property
    def _is_needed(self) -> bool:
        return any(app.revision for app in self._apps.values())

    async def follow(self, news: asyncio.Event) -> None:
        """Listen whenever this machine holds an app, until this is cancelled. `news` is set when
        the apps may have changed."""
        while True:
            while not self._is_needed:
                news.clear()
                await news.wait()
            with (
                guarded(log, "give apps to other machines"),
                suppress(Missed, CannotReach, RegistryRefused, TimeoutError),
            ):
                await self._follow()
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))

    async def _follow(self) -> None:
        async with aclosing(self._requests.of_others()) as requests:
            async for domain, other, revision in requests:
                app = self._apps.get(domain)
                # When the watch begins anew, what was heard before is told again.
                if app and app.request_revision != revision:
                    app.request_revision = revision
                    await self._hear(domain, app, other)
                if not self._is_needed:
                    return

    async def _hear(self, domain: str, app: OnceApp, other: Holder) -> None:
        if not self._is_to_go(domain, app, other.address) or not await self._requests.may_migrate(
            domain
        ):
            return
        # Somebody may have come here meanwhile.
        if self._is_to_go(domain, app, other.address):
            app.request = None
            self._give(domain, app, other)

    def _is_to_go(self, domain: str, app: OnceApp, address: str) -> bool:
        if not app.revision or not app.groups or app.asking is not None:
            return False
        now = self._clock()
        app.request = request_after(app.request, address, now, self._since_visitor(domain))
        return migrates(now - app.request.since)
