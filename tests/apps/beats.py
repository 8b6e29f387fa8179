"""An app that works by itself: as long as it runs, it notes its DOMAIN, its pid and the
time in BEATS."""

import os
import threading
import time
from collections.abc import Iterable
from typing import Any

import uwsgi  # type: ignore[import-untyped]


def beat() -> None:
    """Write a line for each beat, without end."""
    while True:
        with open(os.environ["BEATS"], "a", encoding="utf-8") as notes:
            notes.write(f"{os.environ['DOMAIN']} {os.getpid()} {time.monotonic()}\n")
        time.sleep(0.05)


uwsgi.post_fork_hook = threading.Thread(target=beat, daemon=True).start


def application(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
