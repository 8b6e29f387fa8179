"""The process of a base, which may lack a descriptor or a process when it is to fork."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from functools import partial

import pytest

from emperor.bases.base_process import CONTROL_FD, BaseProcess, OnExit
from emperor.linux.processes import LedProcess, Spawner
from emperor.model.ports import Exit
from tests.bases.moved_loop import MovedClock
from tests.eventually import eventually_async

# Answers as a base does, whose first forks fail: so many as its argument says.
FORKS_LATE = """
import array, os, socket, sys
control = socket.socket(fileno=3)
control.send(b'{"modules":["sys"],"left_out":{}}')
failures = int(sys.argv[1])
while True:
    data, ancillary, _, _ = control.recvmsg(1 << 18, 1024)
    if not data:
        break
    channel = socket.socket(fileno=array.array("i", ancillary[0][2])[0])
    if failures:
        failures -= 1
    elif os.fork() == 0:
        channel.send(b"h")
        channel.recv(1)
        os._exit(0)
    channel.close()
"""


class Owner:
    def __init__(self) -> None:
        self.is_ready = False
        self.ended: Exit | None = None

    def on_ready(self, base: BaseProcess) -> None:
        self.is_ready = True

    def on_end(self, base: BaseProcess, ended: Exit) -> None:
        self.ended = ended


def launch(failures: int, control: socket.socket, on_exit: OnExit) -> LedProcess:
    command = [sys.executable, "-c", FORKS_LATE, str(failures)]
    spawner = Spawner(asyncio.get_running_loop())
    return spawner.spawn(command, os.environ, {CONTROL_FD: control.fileno()}, on_exit)


@pytest.fixture
async def clock() -> MovedClock:
    return MovedClock(asyncio.get_running_loop())


@pytest.fixture
async def owner() -> Owner:
    return Owner()


@pytest.fixture
async def begun(owner: Owner) -> AsyncIterator[list[BaseProcess]]:
    begun: list[BaseProcess] = []
    yield begun
    for base in begun:
        base.end()
        await eventually_async(base.ended.is_set)


async def test_a_base_whose_first_forks_fail_is_asked_again(
    owner: Owner, begun: list[BaseProcess], clock: MovedClock
) -> None:
    base = BaseProcess(partial(launch, 2), asyncio.get_running_loop(), owner)
    begun.append(base)
    await eventually_async(lambda: len(base.spares) == 2)
    assert owner.is_ready
    clock.move(100.0)
    await asyncio.sleep(0)
    assert not base.problem


async def test_a_base_that_cannot_fork_ends(
    owner: Owner, begun: list[BaseProcess], clock: MovedClock
) -> None:
    base = BaseProcess(partial(launch, 1_000_000), asyncio.get_running_loop(), owner)
    begun.append(base)
    await eventually_async(lambda: base.imported.modules)
    clock.move(60.0)
    await eventually_async(lambda: owner.ended)
    assert base.problem == "it did not fork within 60 s"
