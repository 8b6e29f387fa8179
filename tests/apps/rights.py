"""Answers with what its process may do, and its environment, as JSON. `/PATH` also runs that
program, and adds what it prints."""

import json
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    program = environ["PATH_INFO"]
    printed = ""
    if program != "/":
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        printed = done.stdout.strip()
    # uWSGI removes its own variables when it has read them.
    initial = Path("/proc/self/environ").read_bytes().decode().strip("\0").split("\0")
    found = {
        "status": status,
        "environment": dict(os.environ),
        "initial": [variable.partition("=")[0] for variable in initial],
        "printed": printed,
    }
    return [json.dumps(found).encode()]
