"""Notes each run in the file RUNS, and fails as the path says, before or after the reply began."""

import hashlib
import os
import signal
from collections.abc import Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers only the path /begun, and that not to the end."""
    body = environ["wsgi.input"].read()
    with open(os.environ["RUNS"], "a", encoding="ascii") as runs:
        runs.write(f"{environ['REQUEST_METHOD']} {hashlib.sha256(body).hexdigest()[:8]}\n")
    match environ["PATH_INFO"]:
        case "/raise":
            raise ValueError("the app does not catch this")
        case "/harakiri":
            signal.pause()
        case "/die":
            os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [("Content-Length", "20")])
    yield b"half of it"
    raise ValueError("after the reply began")
