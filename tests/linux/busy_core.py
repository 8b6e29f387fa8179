"""Processes that wait for the CPU."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def two_on_one_core() -> Iterator[None]:
    """Two processes that compute on the same core, so that one waits."""
    core = str(min(os.sched_getaffinity(0)))
    command = ["taskset", "--cpu-list", core, "sh", "-c", "while :; do :; done"]
    with subprocess.Popen(command) as one, subprocess.Popen(command) as other:
        try:
            yield
        finally:
            one.kill()
            other.kill()
