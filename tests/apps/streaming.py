"""Sends two events, and waits between them."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The second event follows when somebody opens the FIFO `gate` of the query for writing. The
    query's `buffering` is the value of X-Accel-Buffering."""
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    headers = [("Content-Type", "text/event-stream"), ("X-Accel-Buffering", query["buffering"])]
    start_response("200 OK", headers)
    yield b"data: first\n"
    open(query["gate"], "rb").close()
    yield b"data: second\n"
