"""The emperor's end of the pipe."""

import asyncio
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from emperor.model.ports import Message
from emperor.uwsgi.pipe import _SO_PASSRIGHTS, GRACEFUL_STOP, Pipe
from tests.eventually import eventually_async


async def test_bytes_become_news_and_unknown_ones_do_not() -> None:
    heard: list[Message] = []
    pipe = Pipe.new(asyncio.get_running_loop(), heard.append)
    os.write(pipe.far_fd, bytes([1, 99, 5, 17]))
    await eventually_async(lambda: len(heard) == 3)
    os.write(pipe.far_fd, bytes([22]))
    await eventually_async(lambda: len(heard) == 4)
    assert heard == [Message.LOADED, Message.ACCEPTING, Message.FIRST_REPLY, Message.IDLE]
    pipe.close()


async def test_an_order_reaches_the_vassal_and_its_death_is_no_error() -> None:
    pipe = Pipe.new(asyncio.get_running_loop(), lambda _: None)
    vassal = os.dup(pipe.far_fd)
    pipe.close_far()
    pipe.send(GRACEFUL_STOP)
    assert os.read(vassal, 10) == b"\x02"
    os.close(vassal)
    pipe.send(GRACEFUL_STOP)
    pipe.close()


async def test_the_end_of_the_workers_does_not_make_the_loop_spin() -> None:
    loop = asyncio.get_running_loop()
    pipe = Pipe.new(loop, lambda _: None)
    near = pipe._near
    pipe.close_far()
    await eventually_async(lambda: not loop.remove_reader(near), what="it is not watched any more")
    pipe.close()


async def test_a_byte_stays_in_the_pipe_until_it_has_been_dealt_with() -> None:
    loop = asyncio.get_running_loop()
    told: list[tuple[Message, bool]] = []
    pipe = Pipe.new(loop, lambda news: told.append((news, is_pending(pipe.fd))))
    os.write(pipe.far_fd, bytes([5]))
    await eventually_async(lambda: told)
    await asyncio.sleep(0)
    assert told == [(Message.ACCEPTING, True)]
    assert not is_pending(pipe.fd)
    pipe.close()


def is_pending(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


async def test_a_fault_over_a_byte_does_not_make_the_loop_spin() -> None:
    loop = asyncio.get_running_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def fail(_news: Message) -> None:
        raise ValueError

    pipe = Pipe.new(loop, fail)
    os.write(pipe.far_fd, bytes([1]))
    await eventually_async(lambda: faults)
    assert not is_pending(pipe.fd)
    pipe.close()
    assert len(faults) == 1


async def test_whoever_takes_the_end_over_hears_what_came_meanwhile() -> None:
    loop = asyncio.get_running_loop()
    kept, vassal = (end.detach() for end in socket.socketpair())
    os.write(vassal, bytes([5]))
    heard: list[Message] = []
    pipe = Pipe.adopted(kept, loop, heard.append)
    await eventually_async(lambda: heard)
    pipe.send(GRACEFUL_STOP)
    assert os.read(vassal, 10) == b"\x02"
    os.close(vassal)
    pipe.close()


async def test_what_is_said_over_and_over_in_one_breath_is_told_once() -> None:
    heard: list[Message] = []
    pipe = Pipe.new(asyncio.get_running_loop(), heard.append)
    os.write(pipe.far_fd, bytes([5, 17]) * 30 + bytes([22]))
    await eventually_async(lambda: Message.IDLE in heard)
    assert heard == [Message.ACCEPTING, Message.FIRST_REPLY, Message.IDLE]
    pipe.close()


LINGER_SECONDS = 20


@contextmanager
def lingering() -> Iterator[int]:
    """A TCP socket whose last close(2) takes 20 s, since its peer does not read."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        sender = socket.create_connection(server.getsockname())
        stack.enter_context(server.accept()[0])
        sender.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                sender.send(b"x" * 65536)
        linger = struct.pack("ii", 1, LINGER_SECONDS)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        yield sender.detach()


def can_forbid(pipe: Pipe) -> bool:
    """Whether this kernel can keep descriptors out of a socket."""
    try:
        pipe._near.getsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS)
    except OSError:
        return False
    return True


def send_away(pipe: Pipe, fd: int) -> None:
    """Over the vassal's end, so that nobody has it any more."""
    with socket.socket(fileno=os.dup(pipe.far_fd)) as far:
        socket.send_fds(far, [bytes([99, 5])], [fd])
    os.close(fd)


@pytest.mark.parametrize("is_read", [True, False])
async def test_a_descriptor_that_an_app_sends_along_keeps_nobody_waiting(is_read: bool) -> None:
    heard: list[Message] = []
    pipe = Pipe.new(asyncio.get_running_loop(), heard.append)
    if can_forbid(pipe):  # as on one that cannot
        pipe._near.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 1)
    before = len(os.listdir("/proc/self/fd"))
    with lingering() as fd:
        send_away(pipe, fd)
        begun = time.monotonic()
        if is_read:
            await eventually_async(lambda: heard)
        pipe.close()
        assert time.monotonic() - begun < LINGER_SECONDS / 2
    await eventually_async(lambda: len(os.listdir("/proc/self/fd")) == before - 2)


async def test_where_the_kernel_can_forbid_it_an_app_sends_no_descriptor() -> None:
    pipe = Pipe.new(asyncio.get_running_loop(), lambda _: None)
    if can_forbid(pipe):
        fd = os.dup(0)
        with pytest.raises(PermissionError):
            send_away(pipe, fd)
        os.close(fd)
    pipe.close()
