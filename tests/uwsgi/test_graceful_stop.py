"""A uWSGI that is told to stop finishes what it has accepted, and accepts nothing after that."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from emperor.model.ports import Message
from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.process import UwsgiProcess
from tests.eventually import eventually_async
from tests.traces import public_folder
from tests.uwsgi.launched import APPS, Events, House, abandoned

# The variables of a GET, in the uwsgi protocol.
_VARIABLES = (
    (b"REQUEST_METHOD", b"GET"), (b"QUERY_STRING", b""), (b"PATH_INFO", b"/"),
    (b"SERVER_NAME", b"a.example"), (b"SERVER_PORT", b"80"), (b"SERVER_PROTOCOL", b"HTTP/1.1"),
)  # fmt: skip
_BODY = b"".join(
    len(text).to_bytes(2, "little") + text for variable in _VARIABLES for text in variable
)
GET = b"\0" + len(_BODY).to_bytes(2, "little") + b"\0" + _BODY


@pytest.fixture
async def house() -> AsyncIterator[House]:
    with public_folder() as folder:
        house = House(folder)
        yield house
        house.listener.close()


async def serving(
    house: House, options: str = "", can_pause: bool = True, may_be_dying: bool = False
) -> UwsgiProcess:
    """A process with these options in its ini, which accepts requests."""
    runtime = UwsgiOptions(can_pause=can_pause, may_be_dying=may_be_dying)
    house.spec = replace(house.spec, runtime=runtime)
    ini = f"[uwsgi]\nsocket = {house.spec.socket}\nfile = {APPS}/plain.py\n{options}"
    house.text = ini.encode()
    house.events = Events()
    process = house.prepare(house.events)
    process.start()
    await eventually_async(lambda: Message.ACCEPTING in house.events.messages)
    return process


async def test_a_master_that_takes_itself_for_dying_stops_too(house: House) -> None:
    process = await serving(house, "hook-pre-app = exec:false\n", may_be_dying=True)
    printed = await stopped(house, process)
    assert "FATAL hook failed, destroying instance" in printed


async def stopped(house: House, process: UwsgiProcess) -> str:
    """What it printed until its exit, which a stop has caused."""
    process.stop()
    assert await eventually_async(lambda: house.events.exits) == ["exit status 0"]
    return (house.settings.log_dir / "a.example.log").read_text()


def answer(path: str) -> bytes:
    """The answer to a GET; empty if the connection was closed without one."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(path)
        connection.sendall(GET)
        return connection.recv(1000)


@contextmanager
def asked(path: str) -> Iterator[list[bytes]]:
    """GETs one after the other until the block is left: their answers, while there are any."""
    enough = threading.Event()
    answers: list[bytes] = []

    def ask() -> None:
        while not enough.is_set():
            try:
                answers.append(answer(path))
            except TimeoutError:  # nobody accepts any more
                return
            except ConnectionError:
                answers.append(b"")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        enough.set()
        for thread in threads:
            thread.join()


async def test_workers_are_paused_before_they_are_told_to_end(house: House) -> None:
    printed = await stopped(house, await serving(house))
    before, told, after = printed.partition("graceful shutdown triggered")
    assert told
    assert "*** PAUSE" in before
    assert "resuming workers" not in printed
    assert "Gracefully killing worker 1" in after


async def test_a_stop_loses_no_request(house: House) -> None:
    for _ in range(4):
        process = await serving(house, "workers = 2\n")
        with asked(house.spec.socket) as answers:
            await eventually_async(lambda: len(answers) > 20)
            await stopped(house, process)
        assert all(answers)


@pytest.mark.parametrize("options", ["threads = 4\n", "workers = 2\nthreads = 2\n"])
async def test_workers_with_threads_are_not_paused(house: House, options: str) -> None:
    printed = await stopped(house, await serving(house, options, can_pause=False))
    assert "suspended" not in printed


async def test_a_stop_that_an_earlier_daemon_has_begun_goes_on(house: House) -> None:
    process = await serving(house)
    process.ref.stop_heard_by = ()
    adopted = house.adopt(process.ref, abandoned(process), house.events)
    assert adopted
    assert await eventually_async(lambda: house.events.exits) == ["exit status 0"]
