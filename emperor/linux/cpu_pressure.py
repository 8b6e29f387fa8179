"""Tells when processes wait for the CPU: pressure stall information (PSI), as in
Documentation/accounting/psi.rst."""

import os
import select
from asyncio import AbstractEventLoop
from collections.abc import Callable
from pathlib import Path

PRESSURE = Path("/proc/pressure/cpu")
# Without CAP_SYS_RESOURCE the kernel takes no other window.
WINDOW_SECONDS = 2.0
_STALLED_SECONDS = 0.05


class CpuPressure:
    """Calls `waited` once in a window at most in which some process has waited so long, between
    `resume` and `pause`. Costs nothing while none waits. Raises OSError where the kernel has no
    PSI."""

    def __init__(self, loop: AbstractEventLoop, waited: Callable[[], None]) -> None:
        self._loop = loop
        self._waited = waited
        self._is_paused = True
        self._trigger = os.open(PRESSURE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            stalled, window = (round(each * 1e6) for each in (_STALLED_SECONDS, WINDOW_SECONDS))
            os.write(self._trigger, f"some {stalled} {window}\0".encode())
            # The loop knows no EPOLLPRI, but it can wait for another epoll that does.
            self._events = select.epoll()
            self._events.register(self._trigger, select.EPOLLPRI)
        except OSError:
            os.close(self._trigger)
            raise

    def resume(self) -> None:
        """Tell of waits from here on, and of one that nobody was told of."""
        if self._is_paused:
            self._is_paused = False
            self._loop.add_reader(self._events.fileno(), self._on_event)

    def pause(self) -> None:
        """Tell of no wait until `resume`."""
        self._is_paused = True
        self._loop.remove_reader(self._events.fileno())

    def close(self) -> None:
        """Call nobody any more."""
        self.pause()
        self._events.close()
        os.close(self._trigger)

    def _on_event(self) -> None:
        # The loop's own look at the event has taken it away.
        self._events.poll(0)
        self._waited()
