"""Tells in the registry which table this balancer has, with a lease, so that an operator sees where
a change has arrived. Nothing depends on it, and an agent may have no right to write."""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress

from emperor.model.balancer_state import BalancerState, encoded
from emperor.model.registry_keys import Keys
from emperor.registry.faults import faults_as_silence
from emperor.registry.port import CannotReach, Engine, RegistryRefused

log = logging.getLogger("emperord.state_publisher")

_LEASE_SECONDS = 30
_RETRY_SECONDS = (1.0, 3.0)


class StatePublisher:
    """Keeps the state of one balancer in the registry; `state` is how it is now."""

    def __init__(self, engine: Engine, keys: Keys, state: Callable[[], BalancerState]) -> None:
        self._engine = engine
        self._key = keys.balancer(state().name)
        self._state = state
        self._lease: int | None = None
        self._written = b""
        self._news = asyncio.Event()

    def changed(self) -> None:
        """The balancer has another table, or refuses one."""
        self._news.set()

    async def run(self) -> None:
        """Tell it, until this is cancelled or the registry refuses."""
        while True:
            self._news.clear()
            try:
                with faults_as_silence(log, "tell the fleet which table this balancer has"):
                    await self._tell()
                wait = _LEASE_SECONDS / 3
            except CannotReach:
                # The agent says so.
                wait = random.uniform(*_RETRY_SECONDS)
            except RegistryRefused as error:
                log.info("cannot tell the fleet which table this balancer has: %s", error)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    async def leave(self) -> None:
        """The agent stops. `run` was cancelled."""
        if self._lease is not None:
            with suppress(CannotReach, RegistryRefused, TimeoutError):
                async with asyncio.timeout(2):
                    await self._engine.revoke(self._lease)

    async def _tell(self) -> None:
        if self._lease is None or not await self._engine.renew(self._lease):
            self._lease, self._written = await self._engine.grant(_LEASE_SECONDS), b""
        value = encoded(self._state())
        if value != self._written:
            await self._engine.put({self._key: value}, {}, self._lease)
            self._written = value
