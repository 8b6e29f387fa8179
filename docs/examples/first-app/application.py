"""A first app: WSGI without a framework. The server calls `application` for each request."""

import os
import time
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

STARTED = time.time()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer every request with the host, and the age of the process."""
    age = time.time() - STARTED
    text = f"Hello from {environ['HTTP_HOST']}: process {os.getpid()} started {age:.0f} s ago.\n"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]
