"""Takes what it can get: /memory allocates until it is killed, /fork forks until it is refused, and
/cpu has SPINNERS processes compute without end.

/memory and /fork end far above the limits that tests set. Where a limit does not hold, the machine
survives.
"""

import os
import signal
from collections.abc import Iterable
from typing import Any, NoReturn

MEGABYTE = 1 << 20
MOST_MEGABYTES = 1000
MOST_FORKS = 2000
SPINNING: list[int] = []


def spin() -> int:
    """The pid of a process that computes without end."""
    if pid := os.fork():
        return pid
    os.closerange(0, 1000)  # with the connection, which would not end
    while True:
        pass


def linger() -> NoReturn:
    """Wait to be killed."""
    os.closerange(0, 1000)  # with the connection, which would not end
    while True:
        signal.pause()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The answer to /fork is the number of forks; a fork that was refused is told in the log."""
    forked = 0
    if environ["PATH_INFO"] == "/memory":
        taken: list[bytearray] = []
        while len(taken) < MOST_MEGABYTES:
            taken.append(bytearray(MEGABYTE))
    if environ["PATH_INFO"] == "/cpu" and not SPINNING:
        SPINNING.extend(spin() for _ in range(int(os.environ.get("SPINNERS", "8"))))
    if environ["PATH_INFO"] == "/fork":
        try:
            while forked < MOST_FORKS:
                if not os.fork():
                    linger()
                forked += 1
        except BlockingIOError as error:
            print(f"fork: {error}", flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(forked).encode()]
