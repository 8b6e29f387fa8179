"""Answers with its environment, one variable a line."""

import os
from collections.abc import Callable, Iterable


def application(_environ: object, start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    wanted = ("MINE", "INCLUDED")
    return [f"{name}={os.environ.get(name)}\n".encode() for name in wanted]
