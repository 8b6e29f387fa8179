"""Forks a child that outlives its worker, and tells its pid."""

import os
import signal
from collections.abc import Iterable
from typing import Any


def application(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The child stays until somebody kills it."""
    child = os.fork()
    if child == 0:
        os.closerange(0, 64)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while True:
            signal.pause()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(child).encode()]
