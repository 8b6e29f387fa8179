"""Watches real sockets, as the listeners of sleeping apps."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from emperor.linux.connections import Connections
from tests.eventually import eventually_async

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    """Some sockets, each with another end."""
    with ExitStack() as stack:
        made = [socket.socketpair() for _ in range(3)]
        for pair in made:
            for end in pair:
                stack.enter_context(end)
        yield made


async def test_each_call_is_about_its_own_descriptor(pairs: list[Pair]) -> None:
    connections, called = Connections(asyncio.get_running_loop()), set[int]()
    for number, (here, there) in enumerate(pairs):
        connections.watch(here.fileno(), called.add, number)
        if number:
            there.send(b"x")
    await eventually_async(lambda: called == {1, 2})


async def test_a_fault_in_one_call_leaves_the_others(pairs: list[Pair]) -> None:
    loop = asyncio.get_running_loop()
    faults: list[str] = []
    loop.set_exception_handler(lambda _, context: faults.append(str(context["exception"])))
    connections, called = Connections(loop), list[int]()

    def fail(failing: socket.socket) -> None:
        connections.unwatch(failing.fileno())
        raise ValueError("a fault")

    connections.watch(pairs[0][0].fileno(), fail, pairs[0][0])
    connections.watch(pairs[1][0].fileno(), called.append, 1)
    for _, there in pairs:
        there.send(b"x")
    await eventually_async(lambda: called)
    assert faults == ["a fault"]


async def test_a_number_that_is_used_again_gets_no_old_call(pairs: list[Pair]) -> None:
    """Both are pending in one turn. The first closes the second, whose number a new one gets."""
    connections, called = Connections(asyncio.get_running_loop()), list[str]()
    (first, _), (second, _), (new, _) = pairs

    def replace(other: socket.socket) -> None:
        called.append("replaced")
        for end in (first, second):
            connections.unwatch(end.fileno())
        os.dup2(new.fileno(), other.fileno())
        connections.watch(other.fileno(), called.append, "a call for nothing")

    connections.watch(first.fileno(), replace, second)
    connections.watch(second.fileno(), replace, first)
    for _, there in pairs[:2]:
        there.send(b"x")
    await eventually_async(lambda: called)
    for _ in range(3):
        await asyncio.sleep(0)
    assert called == ["replaced"]


async def test_another_function_takes_the_place_of_the_first(pairs: list[Pair]) -> None:
    connections, called = Connections(asyncio.get_running_loop()), list[str]()
    (here, there), *_ = pairs
    connections.watch(here.fileno(), pytest.fail, "it is not watched for that any more")
    connections.watch(here.fileno(), called.append, "the second function")
    there.send(b"x")
    await eventually_async(lambda: called)
    assert set(called) == {"the second function"}
    connections.unwatch(here.fileno())
    connections.unwatch(here.fileno())
    seen = list(called)
    for _ in range(3):
        await asyncio.sleep(0)
    assert called == seen


async def test_a_pause_ends_by_itself(pairs: list[Pair]) -> None:
    connections, called = Connections(asyncio.get_running_loop()), list[str]()
    here, there = pairs[0]
    connections.watch(here.fileno(), called.append, "a call")
    connections.pause(here.fileno(), "a reason")
    there.send(b"x")
    for _ in range(3):
        await asyncio.sleep(0)
    assert not called
    await eventually_async(lambda: called)
    connections.unwatch(here.fileno())


async def test_a_pause_ends_with_the_watch(pairs: list[Pair]) -> None:
    connections, called = Connections(asyncio.get_running_loop()), list[str]()
    here, there = pairs[0]
    there.send(b"x")
    for _ in range(2):
        connections.watch(here.fileno(), called.append, "a call")
        connections.pause(here.fileno(), "a reason")
        connections.unwatch(here.fileno())
    connections.watch(here.fileno(), called.append, "a call")
    for _ in range(3):
        await asyncio.sleep(0)
    assert called, "another watch is another descriptor"
    connections.unwatch(here.fileno())


async def test_a_pause_goes_on_until_the_socket_can_be_watched(
    pairs: list[Pair], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file, which epoll does not take, has the number of the socket for a while."""
    connections, called = Connections(asyncio.get_running_loop()), list[str]()
    here, there = pairs[0]
    connections.watch(here.fileno(), called.append, "a call")
    connections.pause(here.fileno(), "a reason")
    with socket.socket(fileno=os.dup(here.fileno())) as kept:
        with (tmp_path / "file").open("w") as file:
            os.dup2(file.fileno(), here.fileno())
        await eventually_async(lambda: "cannot watch sockets of apps" in caplog.text)
        os.dup2(kept.fileno(), here.fileno())
    there.send(b"x")
    await eventually_async(lambda: called)
    connections.unwatch(here.fileno())
