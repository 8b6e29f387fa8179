"""Sends bytes to the daemon without end, from the first request on."""

import os
import threading
from collections.abc import Iterable
from typing import Any

PIPE = int(os.environ["UWSGI_EMPEROR_FD"])


def storm() -> None:
    """Say that a request was answered, and then without end that the app accepts or loads, and
    nonsense."""
    os.write(PIPE, b"\x11")
    while True:
        os.write(PIPE, b"\x05\x01x")


def application(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Begin."""
    threading.Thread(target=storm, daemon=True).start()
    start_response("200 OK", [])
    return [b"begun"]
