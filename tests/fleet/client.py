"""Visitors: they come from a host of their own, and none waits for another."""

import asyncio
import itertools
import threading
import time
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import aiohttp

from tests.eventually import PATIENCE_SECONDS
from tests.fleet.network import Network

T = TypeVar("T")

# A FIFO, on every backend.
GATE = "/var/log/gate"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the balancer at the address `door`. With `fresh` it goes over a connection
    of its own. `held`: the app works on it until its backend's gate is opened."""

    domain: str
    door: str
    method: str = "GET"
    scheme: str = "http"
    fresh: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """A question and what became of it, between two instants of the monotonic clock. `status` is
    None when nobody answered; `text` is the body, or why there is none."""

    id: str
    question: Question
    sent: float
    done: float
    status: int | None
    text: str

    @property
    def failed(self) -> bool:
        """Whether it was not answered by the app of the host that was asked for."""
        return self.status != 200 or self.text.split()[1:2] != [self.question.domain]

    def was_under_way(self, start: float, end: float) -> bool:
        """Whether it was at some moment between the two."""
        return self.sent <= end and self.done >= start


class Client:
    """A host of visitors with the network `network`. A context manager."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._live, name="visitors")
        self._loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()
        self._sessions: Future[tuple[aiohttp.ClientSession, aiohttp.ClientSession]] = Future()
        # When each visit that is not over was sent.
        self._under_way: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self._sessions.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    def waits(self, since: float) -> bool:
        """Whether anybody waits for an answer who asked before that time."""
        return any(sent < since for sent in list(self._under_way.values()))

    def submit(self, task: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine on that host."""
        return asyncio.run_coroutine_threadsafe(task, self._loop)

    def send(self, question: Question) -> "Future[Visit]":
        """Set out on one visit."""
        return self.submit(self.visit(question))

    def ask(self, questions: Iterable[Question]) -> list[Visit]:
        """Pay so many visits at once."""
        return [visit.result() for visit in [self.send(question) for question in questions]]

    async def visit(self, question: Question) -> Visit:
        """Pay one visit, from that host."""
        name = f"visit-{next(self._numbers)}"
        self._under_way[name] = sent = time.monotonic()
        status, text = None, "no answer"
        try:
            status, text = await self._ask(name, question)
        except (aiohttp.ClientError, TimeoutError) as error:
            text = repr(error)
        finally:
            del self._under_way[name]
        return Visit(name, question, sent, time.monotonic(), status, text)

    async def _ask(self, name: str, question: Question) -> tuple[int, str]:
        """Ask as a browser does: a GET on a kept connection that turns out to be closed, as nginx
        closes them when it is reloaded, is repeated on a fresh one."""
        kept, fresh = self._sessions.result()
        if question.method == "GET" and not question.fresh:
            with suppress(aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                return await _request(kept, name, question)
        return await _request(fresh, name, question)

    def _live(self) -> None:
        self.network.enter()
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._receive())

    async def _receive(self) -> None:
        async with _session(fresh=False) as kept, _session(fresh=True) as fresh:
            self._sessions.set_result((kept, fresh))
            await self._leave.wait()


async def _request(
    session: aiohttp.ClientSession, name: str, question: Question
) -> tuple[int, str]:
    gate = f"&gate={GATE}" if question.held else ""
    async with session.request(
        question.method,
        f"{question.scheme}://{question.door}/?id={name}{gate}",
        headers={"Host": question.domain},
        data=b"posted" if question.method == "POST" else None,
        server_hostname=question.domain if question.scheme == "https" else None,
    ) as answer:
        return answer.status, await answer.text()


def _session(fresh: bool) -> aiohttp.ClientSession:
    """Nobody verifies the balancers' default certificate, which they made themselves."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=False, force_close=fresh),
        timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
