"""What a process has cost."""

from pathlib import Path

import psutil


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time since its start. The kernel's scheduler counts it in nanoseconds, times(2) in
    ticks."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9
