"""A real uWSGI that one launcher has started and another one adopts."""

import gc
import os
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import cast

import pytest

from emperor.linux.log_owner import close_to_its_app, open_log_of
from emperor.linux.orphans import Known
from emperor.model.limits import LimitSettings, Own
from emperor.model.ports import CannotLaunch, Message
from emperor.model.spec import Identity, InheritedSocket
from emperor.uwsgi.exits import Circumstances
from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.slow_imports import ImportTimes
from tests.descriptors import descriptors_left
from tests.eventually import eventually_async
from tests.traces import public_folder
from tests.uwsgi.launched import Events, House, abandoned


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
async def house() -> AsyncIterator[House]:
    with public_folder() as folder:
        house = House(folder)
        gc.collect()  # what a test before this one has left
        before = open_descriptors()
        yield house
        after = open_descriptors()
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


async def test_without_a_log_no_earlier_output_explains_an_exit(house: House) -> None:
    events = Events()
    log = house.settings.log_dir / "a.example.log"
    os.close(open_log_of(str(log), None))
    log.write_text("Traceback (most recent call last):\nKeyError: 'of an earlier process'\n")
    close_to_its_app(log)
    process = house.prepare(Events())
    process.start()
    assert process.worker_death() is None
    adopted = house.adopt(process.ref, abandoned(process), events)
    assert adopted
    adopted.kill()
    [exit_line] = await eventually_async(lambda: events.exits)
    assert "KeyError" not in exit_line


async def test_without_a_descriptor_for_its_log_nothing_is_spawned(house: House) -> None:
    process = house.prepare(Events())
    with descriptors_left(), pytest.raises(CannotLaunch, match="cannot open a log: Too many open"):
        process.start()


@pytest.mark.parametrize(
    "what", ["clear up after {}", "end what {} has left", "explain the exit of {}"]
)
async def test_a_fault_at_its_end_keeps_no_exit_from_being_told(
    house: House, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    events = Events()
    process = house.prepare(events)
    process.start()
    match what:
        case "clear up after {}":
            process.import_times = cast("ImportTimes", "a bug")
        case "end what {} has left":
            process._left = cast("list[Known]", "a bug")
        case _:
            process._events = replace(process._events, around=cast("Circumstances", "a bug"))
    process.kill()
    await eventually_async(lambda: events.exits)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        f"cannot {what.format('a.example')}: a fault in emperord"
    ]


@pytest.mark.parametrize("problem", ["no copy", "no log", "no limit", "no program"])
async def test_a_successor_that_cannot_start_leaves_no_socket(house: House, problem: str) -> None:
    folder, events, launcher = house.settings.run_dir.parent, Events(), house.launcher()
    path = f"{folder}/v/extra.sock"
    house.text += f"socket = {path}\n".encode()
    house.spec = replace(house.spec, inherited=(InheritedSocket(path, path, 4),))
    first = launcher.prepare(house.spec, house.listener, 1, events, house.text)
    first.start()
    await eventually_async(lambda: Message.ACCEPTING in events.messages)
    before = open_descriptors()
    spec = house.spec
    descriptors: AbstractContextManager[None] = nullcontext()
    match problem:
        case "no copy":
            os.rename(f"{folder}/r/inis", f"{folder}/r/away")
            os.symlink("/dev/null", f"{folder}/r/inis")
        case "no log":
            descriptors = descriptors_left()
        case "no limit":
            too_many = house.open_files[1] + 1
            spec = replace(spec, limits=Own(LimitSettings(nofile=too_many), may_raise=True))
        case "no program":
            spec = replace(spec, runtime=UwsgiOptions(binary="/nowhere"))
    with pytest.raises(CannotLaunch) as raised:
        second = launcher.prepare(spec, house.listener, 2, Events(), house.text)
        # Both ends of a pipe, and the socket.
        await eventually_async(lambda: open_descriptors() == before + 3)
        with descriptors:
            second.start()
    # The error has what was being done, so no collection of garbage closes anything.
    assert raised.traceback
    await eventually_async(lambda: open_descriptors() == before)
    first.kill()
    await eventually_async(lambda: events.exits)


async def test_without_a_descriptor_nobody_knows_who_may_run(house: House) -> None:
    """The group of the sockets may have got a member, and the user another number."""
    house.spec = replace(house.spec, identity=Identity(1, 1, "daemon"))
    process = house.prepare(Events())
    too_many = "cannot look up daemon: Too many open files"
    with descriptors_left(1), pytest.raises(CannotLaunch, match=too_many):
        process.start()
