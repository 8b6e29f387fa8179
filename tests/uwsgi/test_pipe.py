"""The emperor's end of the pipe."""

import asyncio
import os
import select

from emperor.model.ports import News
from emperor.uwsgi.pipe import GRACEFUL_STOP, Pipe
from tests.eventually import eventually_async


async def test_bytes_become_news_and_unknown_ones_do_not() -> None:
    heard: list[News] = []
    pipe = Pipe.new(asyncio.get_running_loop(), heard.append)
    os.write(pipe.far_fd, bytes([1, 99, 5, 17]))
    await eventually_async(lambda: len(heard) == 3)
    os.write(pipe.far_fd, bytes([22]))
    await eventually_async(lambda: len(heard) == 4)
    assert heard == [News.LOADED, News.ACCEPTING, News.LOYAL, News.IDLE]
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
    told: list[tuple[News, bool]] = []
    pipe = Pipe.new(loop, lambda news: told.append((news, is_pending(pipe.fd))))
    os.write(pipe.far_fd, bytes([5]))
    await eventually_async(lambda: told)
    await asyncio.sleep(0)
    assert told == [(News.ACCEPTING, True)]
    assert not is_pending(pipe.fd)
    pipe.close()


def is_pending(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


async def test_a_fault_over_a_byte_does_not_make_the_loop_spin() -> None:
    loop = asyncio.get_running_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def fail(_news: News) -> None:
        raise ValueError

    pipe = Pipe.new(loop, fail)
    os.write(pipe.far_fd, bytes([1]))
    await eventually_async(lambda: faults)
    assert not is_pending(pipe.fd)
    pipe.close()
    assert len(faults) == 1


async def test_whoever_takes_the_end_over_hears_what_came_meanwhile() -> None:
    loop = asyncio.get_running_loop()
    before = Pipe.new(loop, lambda _: None)
    vassal, kept = os.dup(before.far_fd), os.dup(before.fd)
    before.close()
    os.write(vassal, bytes([5]))
    heard: list[News] = []
    pipe = Pipe.adopted(kept, loop, heard.append)
    await eventually_async(lambda: heard)
    pipe.send(GRACEFUL_STOP)
    assert os.read(vassal, 10) == b"\x02"
    os.close(vassal)
    pipe.close()
