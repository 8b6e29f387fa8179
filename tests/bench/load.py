"""A program that sends requests at fixed times, whether the earlier requests are answered or not.

    python -m tests.bench.load PORT HOST COUNT EVERY_SECONDS [remote]

With `remote` it has real-time priority: a client on a machine of its own does not wait for a CPU of
the server's. It prints `begun` before the first request. At the end it prints a line for each
request: when it was sent, how long it took (both in seconds) and the status, 0 without a valid
answer.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

_LIMIT_SECONDS = 60.0
_REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request. `sent` is in seconds since the begin of the load."""

    sent: float
    seconds: float
    status: int


@dataclass(frozen=True, slots=True)
class Client:
    """A client that sends `count` requests, one every so many seconds. `is_remote`: as from a
    machine of its own."""

    count: int
    every: float
    is_remote: bool = False


def load(
    port: int, host: str, client: Client, meanwhile: Callable[[], None] | None = None
) -> list[Answer]:
    """Run the program, and call `meanwhile` once its first request is on the way."""
    command = [sys.executable, "-m", "tests.bench.load", str(port), host]
    command += [str(client.count), str(client.every), *([_REMOTE] if client.is_remote else [])]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            if meanwhile:
                meanwhile()
            rows = [line.split() for line in process.stdout]
        finally:
            process.kill()
    return [Answer(float(sent), float(took), int(status)) for sent, took, status in rows]


async def _ask(port: int, request: bytes, begun: float, at: float) -> Answer:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(begun + at - loop.time())
    sent = loop.time()
    status = 0
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            # A client sends as soon as it is connected. asyncio would connect all clients first.
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(request)
            reader, writer = await asyncio.open_connection(sock=connection)
            answer = await reader.read()
            writer.close()
        status = int(answer.split(b" ", 2)[1])
    except (OSError, TimeoutError, ValueError, IndexError):
        pass
    return Answer(sent - begun, loop.time() - sent, status)


async def _send(port: int, host: str, count: int, every: float) -> list[Answer]:
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    begun = asyncio.get_running_loop().time()
    print("begun", flush=True)
    asks = (_ask(port, request, begun, number * every) for number in range(count))
    return await asyncio.gather(*asks)


def main(port: str, host: str, count: str, every: str, *options: str) -> None:
    """Send, and print."""
    if _REMOTE in options:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    for answer in asyncio.run(_send(int(port), host, int(count), float(every))):
        print(answer.sent, answer.seconds, answer.status)


if __name__ == "__main__":
    main(*sys.argv[1:])
