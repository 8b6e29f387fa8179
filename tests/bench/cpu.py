"""The CPU time of a process."""

from pathlib import Path

import psutil


def cpu_seconds(process: psutil.Process) -> float:
    """The CPU time of a process since its start, from the kernel's scheduler, which counts in
    nanoseconds; times(2) counts in ticks."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9
