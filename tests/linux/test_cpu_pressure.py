"""The kernel tells the loop when processes wait for the CPU."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from emperor.linux.cpu_pressure import PRESSURE, CpuPressure
from tests.eventually import eventually_async

needs_psi = pytest.mark.skipif(not PRESSURE.exists(), reason="this kernel has no PSI")


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


@needs_psi
async def test_the_loop_is_told_again_and_again_that_somebody_waits() -> None:
    told: list[None] = []
    pressure = CpuPressure(asyncio.get_running_loop(), lambda: told.append(None))
    try:
        with two_on_one_core():
            await eventually_async(lambda: len(told) > 1)
    finally:
        pressure.close()


@needs_psi
async def test_nothing_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    CpuPressure(asyncio.get_running_loop(), lambda: None).close()
    monkeypatch.setattr("emperor.linux.cpu_pressure._STALLED_SECONDS", 99.0)
    with pytest.raises(OSError, match="Invalid argument"):
        CpuPressure(asyncio.get_running_loop(), lambda: None)
    assert sorted(os.listdir("/proc/self/fd")) == before
