"""A TCP proxy by which all that passes arrives later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def slow_link(port: int, delay: float) -> AsyncIterator[int]:
    """The port of a proxy to that port of 127.0.0.1. Each way takes so many seconds, however much
    is under way."""
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                when, data = await due.get()
                await asyncio.sleep(when - loop.time())
                if not data:
                    target.close()
                    return
                target.write(data)

        async with asyncio.TaskGroup() as both:
            both.create_task(deliver())
            data = b"x"
            while data:
                try:
                    data = await source.read(65_536)
                except ConnectionError:
                    data = b""
                due.put_nowait((loop.time() + delay, data))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(there_writer)
        for source, target in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(pass_on(source, target))
            tasks.add(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
