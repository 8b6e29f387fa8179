"""Takes what it can get: /memory allocates without end, /fork forks until it is refused, and /cpu
has SPINNERS processes compute without end."""

import os
import signal
from collections.abc import Iterable
from typing import Any

MEGABYTE = 1 << 20
SPINNING: list[int] = []


def spin() -> int:
    """The pid of a process that computes without end."""
    if pid := os.fork():
        return pid
    os.closerange(0, 1000)  # with the connection, which would not end
    while True:
        pass


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The answer to /fork is the number of forks; a fork that was refused is told in the log."""
    forked = 0
    if environ["PATH_INFO"] == "/memory":
        taken = []
        while True:
            taken.append(bytearray(MEGABYTE))
    if environ["PATH_INFO"] == "/cpu" and not SPINNING:
        SPINNING.extend(spin() for _ in range(int(os.environ.get("SPINNERS", "8"))))
    if environ["PATH_INFO"] == "/fork":
        try:
            while os.fork():
                forked += 1
        except BlockingIOError as error:
            print(f"fork: {error}", flush=True)
        else:
            os.closerange(0, 1000)  # with the connection, which would not end
            while True:
                signal.pause()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(forked).encode()]
