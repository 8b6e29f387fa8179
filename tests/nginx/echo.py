"""A WSGI app that answers with its request, with the headers of its query at /headers, or with
the status of its query at /status. It notes each run, and dies at certain paths."""

import hashlib
import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote_plus
from wsgiref.types import StartResponse, WSGIEnvironment

RUNS = Path(os.environ["ECHO_RUNS"])


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the request in JSON."""
    with RUNS.open("a") as runs:
        runs.write(f"{environ['REQUEST_METHOD']} {quote(environ['PATH_INFO'])}\n")
    match environ["PATH_INFO"]:
        case "/refuse" | "/refuse-briefly" as path:
            length = [("Content-Length", "8")] if path == "/refuse" else []
            start_response("401 Unauthorized", length)
            return [b"not you\n"]
        case "/die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "/die-once" if len(RUNS.read_text().splitlines()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "/own-502":
            start_response("502 Bad Gateway", [("Content-Type", "text/plain")])
            return [b"the app's own\n"]
        case "/headers":
            start_response("200 OK", parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
            return [b"the app's own body\n"]
        case "/status":
            start_response(unquote_plus(environ["QUERY_STRING"]), [("X-Own", "kept")])
            return [b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nnot mine"]
        case "/half" | "/large" as path:
            return (_half if path == "/half" else _large)(start_response)
    body = environ["wsgi.input"].read()
    answer = {
        "environ": {key: value for key, value in environ.items() if isinstance(value, str)},
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def _large(start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    for _ in range(200):
        yield b"x" * 2**20


def _half(start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "20")])
    yield b"half of it"
    os.kill(os.getpid(), signal.SIGKILL)
