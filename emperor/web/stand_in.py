"""Answers for the daemon while a new version of it starts.

From execv(2) until the new version listens, some 10,000 records are read and all modules imported.
Nothing happens to a vassal meanwhile. So a fork of the old daemon, the stand-in, tells the truth
with what it has in memory. It answers what only reads records, so that balancers do not take the
machine out. All else it passes on unread, and the new daemon takes it. The stand-in changes
nothing, and ends when the new daemon listens, or when there is none.
"""

import asyncio
import gc
import logging
import os
import re
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

from emperor.linux.passing import channel, readable, receive, send

log = logging.getLogger("emperord.stand_in")

# The name of its socket, for the new version.
NAME = "stand-in"
_LONGEST_HEAD = 4096
# A whole request without a body. Nothing may follow it, since the connection is closed after it.
_GET = re.compile(rb"GET (?P<path>[!-~]+) HTTP/1\.[01]\r\n(?P<fields>(?:[^\r\n]+\r\n)*)\r\n")
# For a stand-in that has no turn of the CPU.
_LONGEST_RELIEF_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Question:
    """A GET: its path with the query, and its header fields as they came."""

    path: str
    fields: bytes

    def has(self, field: str) -> bool:
        """Whether there is a header field of that name, in lower case."""
        return f"\r\n{field}:".encode() in b"\r\n" + self.fields.lower()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its body in UTF-8, and the media type of that."""

    status: int
    kind: str
    body: str

    def encode(self) -> bytes:
        """The bytes for the client. The connection ends after them."""
        body = self.body.encode()
        head = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
            f"Content-Type: {self.kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True, slots=True)
class Post:
    """A listening socket of the daemon. `reply` answers what a connection asks and the records
    alone can answer; None: only a daemon can. `leave` closes the connections that the daemon has
    accepted on it."""

    name: str
    listener: socket.socket
    reply: Callable[[Question, socket.socket], Awaitable[Reply | None]]
    leave: Callable[[], None]


def question_of(head: bytes) -> Question | None:
    """What a client has sent so far, if that is one whole GET."""
    match = _GET.fullmatch(head)
    return Question(match["path"].decode(), match["fields"]) if match else None


@contextmanager
def stand_in(posts: Sequence[Post]) -> Iterator[dict[str, int]]:
    """Have a stand-in answer at these posts from here on. Yields the descriptor for the new
    version, by name. The stand-in ends where the block does. Where the process cannot fork, or has
    no free descriptor, there is no stand-in."""
    with ExitStack() as stack:
        passed: dict[str, int] = {}
        try:
            ours, theirs = map(stack.enter_context, channel())
            if os.fork() == 0:
                _become_stand_in(ours, theirs, posts)
            theirs.close()
            passed[NAME] = ours.fileno()
        except OSError as error:
            log.warning("nobody answers until the new version does: %s", error.strerror)
        yield passed


async def relieve(fd: int) -> list[tuple[str, socket.socket]]:
    """Let the stand-in end. Returns the connections that it has passed on, each with the name of
    its post. Nobody answers there any more."""
    passed_on: list[tuple[str, socket.socket]] = []
    with socket.socket(fileno=fd) as end, suppress(OSError, TimeoutError):
        end.setblocking(False)
        end.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_LONGEST_RELIEF_SECONDS):
            while passed := await receive(end):
                passed_on.append(passed)
    return passed_on


def _become_stand_in(ours: socket.socket, theirs: socket.socket, posts: Sequence[Post]) -> None:
    """Be the stand-in, and exit at the end. This function never returns: what the daemon would do
    at its end, as to remove its sockets, is not for a fork of it. All signals are blocked here, as
    before every execv(2)."""
    try:
        # A collection would copy all memory that the two processes share.
        gc.disable()
        ours.close()
        for post in posts:
            post.leave()
        asyncio.run(_StandIn(theirs, posts).run())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


class _StandIn:
    """Answers at its posts until the other end of `end` is closed."""

    def __init__(self, end: socket.socket, posts: Sequence[Post]) -> None:
        self._end = end
        self._posts = posts
        # Each is set when a connection has sent something, or must be passed on as it is.
        self._due: set[asyncio.Event] = set()
        self._is_relieved = False
        # The loop knows one waiter for each descriptor.
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Answer until relieved. When this returns, each connection is answered or passed on."""
        async with asyncio.TaskGroup() as tasks:
            accepting = [tasks.create_task(self._accept(post, tasks)) for post in self._posts]
            await readable(self._end)
            self._is_relieved = True
            for task in accepting:
                task.cancel()
            for due in self._due:
                due.set()

    async def _accept(self, post: Post, tasks: asyncio.TaskGroup) -> None:
        """Accept until the task is cancelled. Without a free descriptor, the rest stays in the
        queue for the daemon."""
        while True:
            await readable(post.listener)
            try:
                connection, _ = post.listener.accept()
            except (BlockingIOError, ConnectionError):
                continue
            except OSError:
                return
            tasks.create_task(self._look_after(post, connection))

    async def _look_after(self, post: Post, connection: socket.socket) -> None:
        connection.setblocking(False)
        with connection, suppress(OSError, TimeoutError):
            await self._first_bytes(connection)
            try:
                head = connection.recv(_LONGEST_HEAD, socket.MSG_PEEK)
            except BlockingIOError:
                head = b""
            question = question_of(head)
            reply = await post.reply(question, connection) if question else None
            if reply is None:
                async with self._sending:
                    await send(self._end, post.name, connection)
                return
            connection.recv(len(head))
            async with asyncio.timeout(_PATIENCE_SECONDS):
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(connection, reply.encode())

    async def _first_bytes(self, connection: socket.socket) -> None:
        """Return when the client has sent something or left, or when the stand-in is relieved."""
        due, loop = asyncio.Event(), asyncio.get_running_loop()
        if self._is_relieved:
            return
        self._due.add(due)
        loop.add_reader(connection, due.set)
        try:
            await due.wait()
        finally:
            loop.remove_reader(connection)
            self._due.discard(due)
