"""Starts a process in a session of its own, as a job that shall outlive its request, and tells its
pid."""

import subprocess
from collections.abc import Iterable
from typing import Any


def application(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The job ignores signals that ask it to end."""
    job = subprocess.Popen(
        ["/usr/bin/env", "--ignore-signal=TERM", "sleep", "infinity"],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(job.pid).encode()]
