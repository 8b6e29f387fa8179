"""Runs a command to its end and reads its output.

The command has a process group of its own, which never outlives the call: asyncio's subprocesses
leave the children of a command behind that is cancelled while it starts (seen on a loaded machine).
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import IO

from emperor.linux.processes import cannot_launch, spawn
from emperor.model.ports import Exit

_READ_BYTES = 1 << 16


class EndlessOutput(Exception):
    """The command printed more than it may."""


async def run_command(
    argv: Sequence[str], env: Mapping[str, str], longest_bytes: int, seconds: float | None = None
) -> tuple[Exit, str]:
    """How `argv` ended, and its output and errors. The call returns when no process has the output
    open any more; when it is cancelled, or takes longer than `seconds`, the whole group is killed.

    Raises CannotLaunch, TimeoutError, and EndlessOutput for more than `longest_bytes`.
    """
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[Exit] = loop.create_future()
    try:
        read_end, write_end = os.pipe()
    except OSError as error:
        raise cannot_launch(argv[0], error) from error
    with os.fdopen(read_end, "rb", buffering=0) as pipe:
        try:
            child = spawn(argv, env, {1: write_end, 2: write_end}, loop, exited.set_result)
        finally:
            os.close(write_end)
        try:
            async with asyncio.timeout(seconds):
                output = await _read_all(pipe, longest_bytes)
                await asyncio.wait([exited])
        finally:
            child.kill()
            await asyncio.wait([exited])
    return exited.result(), output


async def _read_all(pipe: IO[bytes], longest_bytes: int) -> str:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        output = bytearray()
        while part := await reader.read(_READ_BYTES):
            output += part
            if len(output) > longest_bytes:
                raise EndlessOutput
    finally:
        transport.close()
    return output.decode(errors="replace")
