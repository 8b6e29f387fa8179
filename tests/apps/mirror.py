"""Answers with the variables of the request, as JSON, and notes each request in RUNS."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """The body is not read."""
    with open(os.environ["RUNS"], "a", encoding="utf-8") as runs:
        runs.write(f"{environ['REQUEST_METHOD']} {environ['HTTP_HOST']} {environ['REQUEST_URI']}\n")
    variables = {name: value for name, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(variables).encode()]
