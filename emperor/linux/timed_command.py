"""Runs a command for which nothing else may have to wait: never longer than asked, and at idle
priority for CPU and disks if wanted. One that cannot be killed, since a file system hangs, is left
behind."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO

from emperor.linux.processes import LedProcess, cannot_launch, spawn
from emperor.model.ports import Exit

# ioprio_set(2) and sched(7).
_AT_IDLE_PRIORITY = ("chrt", "-i", "0", "ionice", "-c", "3")
_TO_END_SECONDS = 1.0


async def run_at_idle_priority(
    argv: Sequence[str], env: Mapping[str, str], longest_bytes: int, seconds: float
) -> tuple[Exit | None, bytes]:
    """Run a command as `run_timed` does, at idle priority."""
    return await run_timed([*_AT_IDLE_PRIORITY, *argv], env, longest_bytes, seconds)


async def run_timed(
    argv: Sequence[str],
    env: Mapping[str, str],
    longest_bytes: int,
    seconds: float,
    given: bytes = b"",
) -> tuple[Exit | None, bytes]:
    """How `argv`, with `given` as its input, ended, and the first `longest_bytes` of its output.
    When the call is cancelled, or takes longer than `seconds`, it gets SIGTERM, and SIGKILL a
    second later. None: it could not be killed. Raises CannotLaunch."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[Exit] = loop.create_future()
    with ExitStack() as stack:
        output = stack.enter_context(_memory("output", argv[0]))
        input_ = stack.enter_context(_memory("input", argv[0], given))
        fd = output.fileno()
        child = spawn(argv, env, {0: input_.fileno(), 1: fd, 2: fd}, loop, exited.set_result)
        try:
            await asyncio.wait([exited], timeout=seconds)
        finally:
            await _end(child, exited)
        ended = exited.result() if exited.done() else None
        return ended, os.pread(fd, longest_bytes, 0)


async def run_while_wanted(
    argv: Sequence[str], env: Mapping[str, str], longest_bytes: int, seconds: float
) -> tuple[Exit, bytes]:
    """How `argv` ended, without having been asked to, and the first `longest_bytes` of its output.
    Its input ends when the call is cancelled, and whenever this process does. It must end by that:
    `seconds` after a cancellation it is killed. Raises CannotLaunch."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[Exit] = loop.create_future()
    try:
        theirs, ours = os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise cannot_launch(argv[0], error) from error
    with ExitStack() as stack:
        is_wanted = stack.enter_context(os.fdopen(ours, "wb", buffering=0))
        with os.fdopen(theirs, "rb", buffering=0):
            output = stack.enter_context(_memory("output", argv[0]))
            fd = output.fileno()
            child = spawn(argv, env, {0: theirs, 1: fd, 2: fd}, loop, exited.set_result)
        try:
            await asyncio.wait([exited])
            return exited.result(), os.pread(fd, longest_bytes, 0)
        finally:
            is_wanted.close()
            try:
                await asyncio.wait([exited], timeout=seconds)
            finally:
                await _end(child, exited)


def _memory(name: str, program: str, content: bytes = b"") -> IO[bytes]:
    """A file in memory for that program. Raises CannotLaunch."""
    try:
        fd = os.memfd_create(f"emperord-{name}", os.MFD_CLOEXEC)
        with ExitStack() as stack:
            file = stack.enter_context(os.fdopen(fd, "r+b", buffering=0))
            file.write(content)
            file.seek(0)
            stack.pop_all()
    except OSError as error:
        raise cannot_launch(program, error) from error
    return file


async def _end(child: LedProcess, exited: asyncio.Future[Exit]) -> None:
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not exited.done():
                child.send(number)
                await asyncio.wait([exited], timeout=_TO_END_SECONDS)
    finally:
        child.kill()
