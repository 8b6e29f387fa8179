"""The emperor's end of the pipe."""

import asyncio
import os

from emperor.model.ports import News
from emperor.uwsgi.pipe import GRACEFUL_STOP, Pipe
from tests.eventually import eventually_async


async def test_bytes_become_news_and_unknown_ones_do_not() -> None:
    heard: list[News] = []
    pipe = Pipe(asyncio.get_running_loop(), heard.append)
    os.write(pipe.far_fd, bytes([1, 99, 5, 17]))
    await eventually_async(lambda: len(heard) == 3)
    os.write(pipe.far_fd, bytes([22]))
    await eventually_async(lambda: len(heard) == 4)
    assert heard == [News.LOADED, News.ACCEPTING, News.LOYAL, News.IDLE]
    pipe.close()


async def test_an_order_reaches_the_vassal_and_its_death_is_no_error() -> None:
    pipe = Pipe(asyncio.get_running_loop(), lambda _: None)
    vassal = os.dup(pipe.far_fd)
    pipe.close_far()
    pipe.send(GRACEFUL_STOP)
    assert os.read(vassal, 10) == b"\x02"
    os.close(vassal)
    pipe.send(GRACEFUL_STOP)
    pipe.close()


async def test_the_end_of_the_workers_does_not_make_the_loop_spin() -> None:
    loop = asyncio.get_running_loop()
    pipe = Pipe(loop, lambda _: None)
    near = pipe._near
    pipe.close_far()
    await eventually_async(lambda: not loop.remove_reader(near), what="it is not watched any more")
    pipe.close()
