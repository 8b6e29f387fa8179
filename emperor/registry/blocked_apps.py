"""Learns what other machines of the fleet do with the apps that may not run on this one: which of
them has an app, when nobody has it any more, and that this machine is to have it.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress

from emperor.guarded import guarded
from emperor.model.registry_keys import Keys
from emperor.registry.once_app import OnceApp, runs_on
from emperor.registry.once_holders import changes_of_holders
from emperor.registry.own_names import OwnNames
from emperor.registry.port import CannotReach, Engine, Missed, RegistryRefused

log = logging.getLogger("emperord.blocked_apps")

_RETRY_SECONDS = (2.0, 4.0)


class BlockedApps:
    """Follows what other machines do with the apps that may not run here. `apps` are those that
    this machine, `me`, knows. `free` is told of one that may run here again, and whether it was
    given to this machine. `news` is set when `apps` may have changed."""

    def __init__(
        self,
        apps: Mapping[str, OnceApp],
        me: OwnNames,
        free: Callable[[str, bool], None],
        news: asyncio.Event,
    ) -> None:
        self._apps = apps
        self._me = me
        self._free = free
        self._news = news
        self._limit: asyncio.Timeout | None = None

    @property
    def _is_needed(self) -> bool:
        return any(app.why_not for app in self._apps.values())

    def look_again(self) -> None:
        """An app may not run here, and no change may tell that nobody has its key."""
        if self._limit and self._limit.when() is None:
            now = asyncio.get_running_loop().time()
            self._limit.reschedule(now + random.uniform(*_RETRY_SECONDS))

    async def follow(self, engine: Engine, keys: Keys) -> None:
        """Whenever some app may not run here, until this is cancelled."""
        while True:
            while not self._is_needed:
                self._news.clear()
                await self._news.wait()
            with (
                guarded(log, "learn where apps run that must not run twice"),
                suppress(Missed, CannotReach, RegistryRefused, TimeoutError),
            ):
                async with asyncio.timeout(None) as self._limit:
                    await self._follow(engine, keys)
            self._limit = None
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))

    async def _follow(self, engine: Engine, keys: Keys) -> None:
        async for held, gone in changes_of_holders(engine, keys):
            for domain, app in list(self._apps.items()):
                if app.why_not is None or domain not in held:
                    continue
                if (holder := held[domain]) not in self._me.all:
                    app.why_not, app.is_cut_off = runs_on(holder, self._me.now.address), False
                    app.goes_to = None
                elif app.runs_elsewhere:
                    self._free(domain, True)
            for domain in list(self._apps) if gone is None else gone:
                if domain not in held:
                    self._free(domain, False)
            if not self._is_needed:
                return
