"""Clocks of hosts that were booted at another time than this machine."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

# Not every kernel has time namespaces.
CAN_DIFFER = Path("/proc/self/ns/time").exists()


@contextmanager
def up_for_longer(seconds: int) -> Iterator[list[str]]:
    """What nsenter(1) takes for a host whose monotonic clock is so many seconds ahead of ours."""
    if not CAN_DIFFER or not seconds:
        yield []
        return
    clocks = [f"--{clock}={seconds}" for clock in ("monotonic", "boottime")]
    # A namespace lives as long as somebody holds a descriptor of it.
    with subprocess.Popen(
        ["unshare", "--time", *clocks, "--fork", "sh", "-c", "echo begun; read -r line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stdout.readline() == b"begun\n"
        [child] = psutil.Process(process.pid).children()
        descriptor = os.open(f"/proc/{child.pid}/ns/time", os.O_RDONLY | os.O_CLOEXEC)
        process.kill()
        child.kill()
    try:
        yield [f"--time=/proc/{os.getpid()}/fd/{descriptor}"]
    finally:
        os.close(descriptor)
