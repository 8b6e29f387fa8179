"""Runs a command for which nothing else may have to wait: at idle priority for CPU and disks, and
never longer than asked. One that cannot be killed, since a file system hangs, is left behind."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence

from emperor.linux.processes import LedProcess, spawn
from emperor.model.ports import Exit

# ioprio_set(2) and sched(7).
MODESTLY = ("chrt", "-i", "0", "ionice", "-c", "3")
_TO_END_SECONDS = 1.0


async def run_modestly(
    argv: Sequence[str], env: Mapping[str, str], longest_bytes: int, seconds: float
) -> tuple[Exit | None, bytes]:
    """How `argv` ended, and the first `longest_bytes` of its output. When the call is cancelled, or
    takes longer than `seconds`, it gets SIGTERM, and SIGKILL a second later. None: it could not be
    killed. Raises CannotLaunch."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[Exit] = loop.create_future()
    fd = os.memfd_create("emperord-output", os.MFD_CLOEXEC)
    try:
        child = spawn([*MODESTLY, *argv], env, {1: fd, 2: fd}, loop, exited.set_result)
        try:
            await asyncio.wait([exited], timeout=seconds)
        finally:
            await _end(child, exited)
        ended = exited.result() if exited.done() else None
        return ended, os.pread(fd, longest_bytes, 0)
    finally:
        os.close(fd)


async def _end(child: LedProcess, exited: asyncio.Future[Exit]) -> None:
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not exited.done():
                child.send(number)
                await asyncio.wait([exited], timeout=_TO_END_SECONDS)
    finally:
        child.kill()
