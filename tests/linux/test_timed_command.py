"""A command in the background runs at idle priority, and ends when it should."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest

from emperor.linux.timed_command import run_at_idle_priority, run_timed, run_while_wanted
from emperor.model.ports import CannotLaunch
from tests.descriptors import descriptors_left
from tests.eventually import PATIENCE_SECONDS, eventually, eventually_async

Run = Callable[[Sequence[str], Mapping[str, str], int, float], Awaitable[object]]
_TELL = "import json, os; print(json.dumps(os.sched_getscheduler(0)))"
_STUBBORN = "trap '' TERM; echo $$ >{0}; while :; do sleep 1; done"


async def test_it_runs_at_idle_priority() -> None:
    argv = ["sh", "-c", f"ionice; {sys.executable} -c '{_TELL}'"]
    ended, printed = await run_at_idle_priority(argv, {}, 100, PATIENCE_SECONDS)
    assert ended is not None and ended.code == 0
    disk, cpu = printed.decode().splitlines()
    assert (disk, json.loads(cpu)) == ("idle", os.SCHED_IDLE)


async def test_no_more_of_the_output_is_read_than_asked_for() -> None:
    _, printed = await run_at_idle_priority(
        ["sh", "-c", "yes | head -1000"], {}, 10, PATIENCE_SECONDS
    )
    assert printed == b"y\n" * 5


async def test_a_command_that_ignores_sigterm_ends(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    argv = ["sh", "-c", _STUBBORN.format(file)]
    ended, _ = await run_at_idle_priority(argv, os.environ, 10, 0.5)
    assert ended is not None and ended.signal == "SIGKILL"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await run_at_idle_priority(argv, os.environ, 10, PATIENCE_SECONDS)
    eventually(lambda: not os.path.exists(f"/proc/{file.read_text().strip()}"))


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("run", [run_timed, run_while_wanted])
async def test_without_descriptors_it_cannot_be_run(run: Run, number: int) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    too_many = "cannot spawn true: Too many open files; the limit"
    with descriptors_left(number), pytest.raises(CannotLaunch, match=too_many):
        await run(["true"], os.environ, 10, PATIENCE_SECONDS)
    assert sorted(os.listdir("/proc/self/fd")) == before


async def until_written(file: Path) -> None:
    await eventually_async(lambda: file.exists() and file.read_text())


async def test_the_input_of_a_command_ends_when_nobody_wants_it(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    # It takes a while: the machine may be busy.
    argv = ["sh", "-c", f"echo yes >{begun}; cat; sleep 1.5; echo yes >{ended}"]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run_while_wanted(argv, os.environ, 10, PATIENCE_SECONDS))
        await until_written(begun)
        running.cancel()
    assert ended.read_text() == "yes\n"


async def test_a_command_that_reads_no_input_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    async with asyncio.TaskGroup() as tasks:
        argv = ["sh", "-c", _STUBBORN.format(file)]
        running = tasks.create_task(run_while_wanted(argv, os.environ, 10, 0.1))
        await until_written(file)
        running.cancel()
    eventually(lambda: not os.path.exists(f"/proc/{file.read_text().strip()}"))


async def test_a_command_may_end_before_that() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    argv = ["sh", "-c", "echo why; exit 3"]
    ended, printed = await run_while_wanted(argv, os.environ, 2, PATIENCE_SECONDS)
    assert (ended.code, printed) == (3, b"wh")
    with pytest.raises(CannotLaunch):
        await run_while_wanted(["/nowhere"], os.environ, 10, PATIENCE_SECONDS)
    assert sorted(os.listdir("/proc/self/fd")) == before
