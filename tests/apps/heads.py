"""Answers with a head of so many bytes. Notes each request in RUNS."""

import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

STATUS = "200 OK"


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The query's `head` is the size of the whole head, from the status line to the empty line."""
    with open(os.environ["RUNS"], "a", encoding="utf-8") as runs:
        runs.write(f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI'][:50]}\n")
    size = int(dict(parse_qsl(environ["QUERY_STRING"])).get("head", 100))
    rest = len(f"HTTP/1.1 {STATUS}\r\nX-Pad: \r\n\r\n")
    start_response(STATUS, [("X-Pad", "p" * (size - rest))])
    return [b"done"]
