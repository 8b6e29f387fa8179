"""Reads the body piece by piece, and answers with its length."""

from collections.abc import Iterable
from typing import Any

PIECE = 65_536


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Keep nothing of it."""
    length = 0
    while piece := environ["wsgi.input"].read(PIECE):
        length += len(piece)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(length).encode()]
