"""The lease with which this machine holds all its apps that must not run twice, and how long the
machine can be sure of it."""

import asyncio
from collections.abc import Callable

from emperor.model.once import (
    KILL_AFTER_SECONDS,
    LEASE_SECONDS,
    RENEW_SECONDS,
    STOP_AFTER_SECONDS,
)
from emperor.registry.port import Engine


class OnceLease:
    """The lease of all apps that this machine holds. `clock` tells seconds. `confirmed` is called
    when the lease holds for its whole time again, `cut_off` when it was not renewed in time and may
    end, `lost` when it has ended."""

    def __init__(
        self,
        clock: Callable[[], float],
        confirmed: Callable[[], None],
        cut_off: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._confirmed = confirmed
        self._cut_off = cut_off
        self._lost = lost
        self._lease: int | None = None
        self._granting = asyncio.Lock()
        self._renewed = 0.0
        self._stop_timer: asyncio.TimerHandle | None = None

    @property
    def kill_at(self) -> float:
        """When what is left of the apps is killed, unless the lease is renewed before."""
        return self._renewed + KILL_AFTER_SECONDS

    def is_sure(self) -> bool:
        """Whether no other machine can have it."""
        return self._lease is not None and self._clock() < self._renewed + STOP_AFTER_SECONDS

    async def held(self, engine: Engine) -> int:
        """The lease, for a key. Raises what engines raise."""
        async with self._granting:
            if self._lease is None or not self.is_sure():
                sent = self._clock()
                if self._lease is None or not await engine.renew(self._lease):
                    self._lose()
                    self._lease = await engine.grant(LEASE_SECONDS)
                self._confirm(sent)
            return self._lease

    async def renew(self, engine: Engine) -> None:
        """Hold it for longer. Raises what engines raise, and TimeoutError."""
        async with asyncio.timeout(RENEW_SECONDS), self._granting:
            sent = self._clock()
            if self._lease is not None and await engine.renew(self._lease):
                self._confirm(sent)
            else:
                self._lose()

    async def end(self, engine: Engine) -> None:
        """Others may have what it held. Raises what engines raise."""
        if self._lease is not None:
            await engine.revoke(self._lease)

    def close(self) -> None:
        """Nobody needs to know any more whether it holds."""
        if self._stop_timer:
            self._stop_timer.cancel()

    def _confirm(self, sent: float) -> None:
        """The lease holds for its whole time from `sent` on."""
        self._renewed = sent
        self.close()
        delay = max(0.0, sent + STOP_AFTER_SECONDS - self._clock())
        self._stop_timer = asyncio.get_running_loop().call_later(delay, self._cut_off)
        self._confirmed()

    def _lose(self) -> None:
        self._lease = None
        self._lost()
