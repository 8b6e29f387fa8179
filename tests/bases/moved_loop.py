"""The loop of a test, whose clock the test moves by hand."""

import asyncio
import time


class MovedClock:
    """Moves the clock of a loop ahead."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ahead = 0.0
        loop.time = self._time  # type: ignore[method-assign]

    def _time(self) -> float:
        return time.monotonic() + self._ahead

    def move(self, seconds: float) -> None:
        """Let these seconds pass: what is due then is due now."""
        self._ahead += seconds
