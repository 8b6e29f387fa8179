"""The emperor's end of the pipe."""

import asyncio
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from emperor.model.ports import Message
from emperor.uwsgi.pipe import _BURST, _PER_SECOND, _SO_PASSRIGHTS, GRACEFUL_STOP, Pipe
from tests.eventually import eventually_async


async def test_known_bytes_become_messages() -> None:
    received: list[Message] = []
    pipe = Pipe.new(asyncio.get_running_loop(), received.append)
    os.write(pipe.far_fd, bytes([1, 99, 5, 17]))
    await eventually_async(lambda: len(received) == 3)
    os.write(pipe.far_fd, bytes([22]))
    await eventually_async(lambda: len(received) == 4)
    assert received == [Message.LOADED, Message.ACCEPTING, Message.FIRST_REPLY, Message.IDLE]
    pipe.close()


async def test_an_order_reaches_the_vassal_and_is_lost_after_its_exit() -> None:
    pipe = Pipe.new(asyncio.get_running_loop(), lambda _: None)
    vassal = os.dup(pipe.far_fd)
    pipe.close_far()
    pipe.send(GRACEFUL_STOP)
    assert os.read(vassal, 10) == b"\x02"
    os.close(vassal)
    pipe.send(GRACEFUL_STOP)
    pipe.close()


async def test_the_exit_of_the_workers_does_not_make_the_loop_spin() -> None:
    loop = asyncio.get_running_loop()
    pipe = Pipe.new(loop, lambda _: None)
    near = pipe._near
    pipe.close_far()
    await eventually_async(lambda: not loop.remove_reader(near), what="it is not watched any more")
    pipe.close()


async def test_a_byte_stays_in_the_pipe_until_it_is_handled() -> None:
    loop = asyncio.get_running_loop()
    received: list[tuple[Message, bool]] = []
    pipe = Pipe.new(loop, lambda message: received.append((message, is_pending(pipe.fd))))
    os.write(pipe.far_fd, bytes([5]))
    await eventually_async(lambda: received)
    await asyncio.sleep(0)
    assert received == [(Message.ACCEPTING, True)]
    assert not is_pending(pipe.fd)
    pipe.close()


async def test_bytes_without_end_are_read_now_and_then() -> None:
    loop = asyncio.get_running_loop()
    received: list[Message] = []
    floods: list[float] = []
    pipe = Pipe.new(loop, received.append)
    pipe.on_flood = lambda: floods.append(loop.time())

    async def flood() -> None:
        while not floods:
            os.write(pipe.far_fd, bytes([5]))
            await asyncio.sleep(0)

    await asyncio.wait_for(flood(), 10)
    assert _BURST <= len(received) <= _BURST + 10 * _PER_SECOND, "a machine may be busy"
    os.write(pipe.far_fd, bytes([22]))
    await eventually_async(lambda: received[-1] is Message.IDLE, what="it is read later")
    assert loop.time() >= floods[0] + 1 / _PER_SECOND - 0.05
    pipe.close()


async def test_a_pipe_that_rests_can_be_closed() -> None:
    pipe = Pipe.new(asyncio.get_running_loop(), lambda _: None)
    floods: list[None] = []
    pipe.on_flood = lambda: floods.append(None)
    while not floods:
        os.write(pipe.far_fd, bytes([5]))
        await asyncio.sleep(0)
    pipe.close()
    await asyncio.sleep(2 / _PER_SECOND)


def is_pending(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


async def test_an_error_in_a_handler_does_not_make_the_loop_spin() -> None:
    loop = asyncio.get_running_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def fail(_message: Message) -> None:
        raise ValueError

    pipe = Pipe.new(loop, fail)
    os.write(pipe.far_fd, bytes([1]))
    await eventually_async(lambda: faults)
    assert not is_pending(pipe.fd)
    pipe.close()
    assert len(faults) == 1


async def test_an_adopted_pipe_delivers_what_was_sent_before() -> None:
    loop = asyncio.get_running_loop()
    kept, vassal = (end.detach() for end in socket.socketpair())
    os.write(vassal, bytes([5]))
    received: list[Message] = []
    pipe = Pipe.adopted(kept, loop, received.append)
    await eventually_async(lambda: received)
    pipe.send(GRACEFUL_STOP)
    assert os.read(vassal, 10) == b"\x02"
    os.close(vassal)
    pipe.close()


async def test_equal_bytes_that_come_together_are_one_message() -> None:
    received: list[Message] = []
    pipe = Pipe.new(asyncio.get_running_loop(), received.append)
    os.write(pipe.far_fd, bytes([5, 17]) * 30 + bytes([22]))
    await eventually_async(lambda: Message.IDLE in received)
    assert received == [Message.ACCEPTING, Message.FIRST_REPLY, Message.IDLE]
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
    """Send it over the vassal's end, and close it here."""
    with socket.socket(fileno=os.dup(pipe.far_fd)) as far:
        socket.send_fds(far, [bytes([99, 5])], [fd])
    os.close(fd)


@pytest.mark.parametrize("is_read", [True, False])
async def test_a_descriptor_that_an_app_sends_does_not_block_us(is_read: bool) -> None:
    received: list[Message] = []
    sent: list[bool] = []
    pipe = Pipe.new(asyncio.get_running_loop(), received.append)
    pipe.on_descriptors = lambda: sent.append(True)
    if can_forbid(pipe):  # as on a kernel that cannot forbid it
        pipe._near.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 1)
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    os.write(pipe.far_fd, bytes([1]))
    if is_read:
        await eventually_async(lambda: received)
    with ExitStack() as stack:
        for fd in [stack.enter_context(lingering()) for _ in range(5)]:
            send_away(pipe, fd)
        begun = time.monotonic()
        if is_read:
            await eventually_async(lambda: sent)
        pipe.close()
        assert threading.active_count() <= threads + 1
        assert time.monotonic() - begun < LINGER_SECONDS / 2
    await eventually_async(lambda: len(os.listdir("/proc/self/fd")) == before - 2)
    assert received == ([Message.LOADED] if is_read else [])


async def test_an_app_can_send_no_descriptor_on_a_new_kernel() -> None:
    pipe = Pipe.new(asyncio.get_running_loop(), lambda _: None)
    if can_forbid(pipe):
        fd = os.dup(0)
        with pytest.raises(PermissionError):
            send_away(pipe, fd)
        os.close(fd)
    pipe.close()
