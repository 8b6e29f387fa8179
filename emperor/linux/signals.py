"""Which function the daemon calls after a signal: none is lost in a burst of other signals."""

import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable


def on_signal(loop: AbstractEventLoop, number: int, act: Callable[[], None]) -> None:
    """Call `act` in that loop after each signal of that number. `loop.remove_signal_handler` ends
    it. Raises OSError.

    asyncio's own handler passes the number through a socket that holds some 280 numbers. While the
    loop is busy it reads none, and a tenant whose processes end meanwhile fills the socket by
    SIGCHLD alone: a SIGTERM would be lost, and each signal would add six lines to the log.
    """

    def pass_on(*_: object) -> None:
        loop.call_soon_threadsafe(act)

    loop.add_signal_handler(number, _nothing)
    signal.signal(number, pass_on)
    signal.siginterrupt(number, False)
    # What does not fit need not be there: the loop wakes up for the numbers before it.
    socket = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(socket, warn_on_full_buffer=False)


def _nothing() -> None:
    """asyncio has read the number of a signal whose function is called already."""
