"""The kernel tells the loop when processes wait for the CPU."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar

import pytest

from emperor.early_refusal import EarlyRefusal
from emperor.fair_cpu import FairCpu
from emperor.linux.cpu_marks import CpuMarks, Look
from emperor.linux.cpu_pressure import PRESSURE, CpuPressure
from emperor.linux.hierarchies import Hierarchy
from emperor.model.limits import Limits, LimitSettings
from emperor.uwsgi.bounds import bounds_of
from tests.eventually import eventually_async
from tests.linux.busy_core import two_on_one_core

needs_psi = pytest.mark.skipif(not PRESSURE.exists(), reason="this kernel has no PSI")


@pytest.fixture
async def early_refusal(tmp_path: Path) -> AsyncIterator[EarlyRefusal]:
    """Of a daemon without apps."""
    loop = asyncio.get_running_loop()
    bounds = bounds_of(LimitSettings(), LimitSettings(), tmp_path, (1024, 1024), loop)
    async with asyncio.TaskGroup() as tasks:
        yield EarlyRefusal(bounds, str, tasks)
    bounds.groups.close()


@needs_psi
async def test_the_loop_is_told_again_and_again_that_somebody_waits() -> None:
    told: list[None] = []
    pressure = CpuPressure(asyncio.get_running_loop(), lambda: told.append(None))
    pressure.resume()
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


class WithoutDescriptors(CpuMarks):
    """The groups of a daemon that has no descriptor left."""

    def __init__(self, folder: Path) -> None:
        super().__init__((Hierarchy(folder, frozenset({"cpu"}), is_v2=True),), Limits())
        self.looks = 0

    def look(self) -> Look | None:
        self.looks += 1
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/proc/stat")


@needs_psi
async def test_a_look_that_failed_is_tried_again(
    tmp_path: Path, early_refusal: EarlyRefusal, caplog: pytest.LogCaptureFixture
) -> None:
    marks = WithoutDescriptors(tmp_path)
    with caplog.at_level("INFO"), two_on_one_core():
        async with asyncio.TaskGroup() as tasks:
            fair = FairCpu(marks, early_refusal, str, tasks)
            fair.app_starts()
            fair.start()
            try:
                await eventually_async(lambda: marks.looks > 1)
            finally:
                fair.close()
    [told] = [
        record.getMessage() for record in caplog.records if record.name == "emperord.fair_cpu"
    ]
    assert told == (
        "cannot have a tenant that takes all of the CPU yield to others:"
        " /proc/stat: Too many open files"
    )


class WithoutApps(CpuMarks):
    """The groups of a daemon whose apps all sleep."""

    def __init__(self, folder: Path) -> None:
        super().__init__((Hierarchy(folder, frozenset({"cpu"}), is_v2=True),), Limits())
        self.looks = 0

    def look(self) -> Look | None:
        self.looks += 1
        return Look(at=float(self.looks), idle=1.0, busy=1.0, apps=0.0, tenants={})


class OneWait:
    """Tells once that somebody waits, each time that it is asked to."""

    is_paused: ClassVar[bool] = True

    def __init__(self, loop: asyncio.AbstractEventLoop, waited: Callable[[], None]) -> None:
        self._loop = loop
        self._waited = waited

    def resume(self) -> None:
        """Tell of a wait."""
        OneWait.is_paused = False
        self._loop.call_soon(self._waited)

    def pause(self) -> None:
        """Tell nothing more."""
        OneWait.is_paused = True

    close = pause


async def test_nobody_is_woken_while_all_apps_sleep(
    tmp_path: Path, early_refusal: EarlyRefusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.fair_cpu.CpuPressure", OneWait)
    marks = WithoutApps(tmp_path)
    # The group of tasks ends when nobody looks any more.
    async with asyncio.TaskGroup() as tasks:
        fair = FairCpu(marks, early_refusal, str, tasks)
        fair.start()
        assert OneWait.is_paused
        for looks in (1, 2):
            fair.app_starts()
            assert not OneWait.is_paused
            await eventually_async(lambda: OneWait.is_paused)
            assert marks.looks == looks
    fair.close()
    assert marks.looks == 2
