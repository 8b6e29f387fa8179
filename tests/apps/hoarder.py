"""Opens descriptors, and listeners among them, until it may open no more, keeps them, and answers
with their number."""

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

kept: list[int] = []


def hoard() -> None:
    """Open all that there is."""
    with suppress(OSError):
        while True:
            kept.append(socket.socket(socket.AF_UNIX).detach())
            kept.append(os.open("/dev/null", os.O_RDONLY))


def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """A WSGI application."""
    hoard()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(kept)).encode()]
