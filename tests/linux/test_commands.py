"""Commands on the real kernel: their output, their exit, and what is left of them."""

import asyncio
import os
from pathlib import Path

import pytest

from emperor.linux.commands import EndlessOutput, run_command
from emperor.model.ports import CannotLaunch, Exit
from tests.descriptors import descriptors_left
from tests.eventually import eventually_async

ENV = {"PATH": os.defpath}


async def run(script: str, longest_bytes: int = 1000) -> tuple[Exit, str]:
    return await run_command(["sh", "-c", script], ENV, longest_bytes)


async def test_output_errors_and_exit_are_returned() -> None:
    assert await run("echo out; echo error >&2; exit 3") == (Exit(code=3), "out\nerror\n")


async def test_too_much_output_is_an_error() -> None:
    with pytest.raises(EndlessOutput):
        await run("yes")


async def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CannotLaunch, match="No such file"):
        await run_command(["/nosuch"], ENV, 1000)


@pytest.mark.parametrize("number", range(8))
async def test_without_descriptors_a_command_cannot_be_run(number: int) -> None:
    """However many are left, as long as they are too few."""
    before = sorted(os.listdir("/proc/self/fd"))
    with descriptors_left(number):
        try:
            await run("exit 3")
        except CannotLaunch as error:
            assert str(error).startswith("cannot spawn sh: Too many open files; the limit")
        else:
            assert number >= 3
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancelled_command_leaves_no_child(tmp_path: Path, turns: int) -> None:
    """However early: the loop has had some turns since the start."""
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    # The end of file tells that no process has it open for writing any more.
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    task = asyncio.create_task(run(f"exec 9>{alive}; cat <>{alive} & cat <>{alive}"))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    def is_dead() -> bool:
        try:
            return os.read(reader, 1) == b""
        except BlockingIOError:
            return False

    await eventually_async(is_dead, what="the last writer is dead")
    os.close(reader)
