"""A real uWSGI that one launcher has started and another one adopts."""

import gc
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from emperor.model.ports import CannotLaunch, Message
from tests.descriptors import descriptors_left
from tests.eventually import eventually_async
from tests.traces import public_folder
from tests.uwsgi.launched import Events, House, abandoned


@pytest.fixture
async def house() -> AsyncIterator[House]:
    with public_folder() as folder:
        house = House(folder)
        gc.collect()  # what a test before this one has left
        before = len(os.listdir("/proc/self/fd"))
        yield house
        after = len(os.listdir("/proc/self/fd"))
        house.listener.close()
        assert after == before


async def test_a_process_is_adopted_by_its_pipe_and_its_pidfd(house: House) -> None:
    first, second = Events(), Events()
    process = house.prepare(first)
    process.start()
    adopted = house.adopt(process.ref, abandoned(process), second)
    assert adopted
    assert (adopted.pid, adopted.ref) == (process.pid, process.ref)
    await eventually_async(lambda: Message.ACCEPTING in second.messages)
    adopted.stop()
    assert await eventually_async(lambda: second.exits) == ["exit status 0"]
    assert (first.messages, first.exits) == ([], [])


async def test_a_process_without_a_saved_pid_is_found_by_its_pipe(house: House) -> None:
    events = Events()
    process = house.prepare(Events())
    saved = replace(process.ref)
    assert saved.pid is None
    process.start()
    [pipe, pidfd] = abandoned(process)
    os.close(pidfd)
    adopted = house.adopt(saved, [pipe], events)
    assert adopted
    assert adopted.pid == process.pid
    adopted.kill()
    assert await eventually_async(lambda: events.exits) == ["its log does not say why"]


async def test_a_process_that_was_not_spawned_leaves_nothing(house: House) -> None:
    process = house.prepare(Events())
    assert house.adopt(process.ref, abandoned(process), Events()) is None


async def test_an_exit_is_explained_by_its_own_output_alone(house: House) -> None:
    events = Events()
    log = house.settings.log_dir / "a.example.log"
    log.write_text("Traceback (most recent call last):\nKeyError: 'of an earlier process'\n")
    house.text = b"[uwsgi]\ninclude = missing.ini\n"
    process = house.prepare(Events())
    process.start()
    adopted = house.adopt(process.ref, abandoned(process), events)
    assert adopted
    adopted.kill()
    [exit_line] = await eventually_async(lambda: events.exits)
    assert "KeyError" not in exit_line


async def test_without_a_descriptor_for_its_log_nothing_is_spawned(house: House) -> None:
    process = house.prepare(Events())
    with descriptors_left(), pytest.raises(CannotLaunch, match="cannot open a log: Too many open"):
        process.start()
