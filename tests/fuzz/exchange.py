"""Both HTTP endpoints of the daemon, on fakes of the core, for one request after the other."""

import asyncio
import socket
from collections.abc import Coroutine
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from emperor.model.authority import Caller
from emperor.model.ports import Listener, QueueLength
from emperor.model.provided import Provided
from emperor.model.spec import Identity
from emperor.web.activation import Activation
from emperor.web.aiohttp_server import web
from emperor.web.drain import Drain
from emperor.web.health import Health
from emperor.web.hosts import Hosts
from emperor.web.pace import Pacer
from tests.cli.fake_emperor import FakeEmperor
from tests.supervisor.world import settings

ALICE, MALLORY = 1001, 1002
CALLERS = (Caller(0, is_administrator=True), Caller(MALLORY, is_administrator=False))
# What mallory must not learn.
SECRETS = (b"alice", b"root.example")
# A stream has no end, and a request may be held.
_PATIENCE_SECONDS = 0.2


def fake_emperor(run_dir: Path) -> FakeEmperor:
    """A daemon with vassals and refused inis of two tenants and of root's, and with a log."""
    fake = FakeEmperor(run_dir)
    as_mallory = {"identity": Identity(MALLORY, MALLORY, "mallory")}
    as_alice = {"identity": Identity(ALICE, ALICE, "alice")}
    fake.serve("mallory.example", aliases=("www.mallory.example",), **as_mallory)
    fake.serve("alice.example", "_.wild.alice.example", **as_alice)
    fake.serve("root.example", "fails.root.example")
    fake.failing["fails.root.example"] = "cannot load the app"
    fake.refuse("broken.mallory.example", "cannot read it: binary", MALLORY)
    fake.refuse("broken.alice.example", "cannot read it, says alice", ALICE)
    (run_dir / "logs").mkdir()
    for domain in ("mallory.example", "root.example"):
        (run_dir / "logs" / f"{domain}.log").write_text("one\ntwo\n")
    return fake


class _Tasks:
    """A task group that does not end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def create_task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return self._loop.create_task(work)


async def _nothing_queued(_listener: Listener) -> QueueLength:
    return QueueLength(0, 128)


async def _none(_host: str, _wildcard: str | None) -> Provided:
    return Provided.NOTHING


def activation_of(fake: FakeEmperor) -> web.Application:
    """What nginx asks, for the vassals of that daemon."""
    tasks = cast(asyncio.TaskGroup, _Tasks(fake.loop))
    hosts = Hosts(fake.governor.vassals, fake)
    pacer = Pacer(_nothing_queued, tasks)
    # A request that nothing ends is answered at once.
    chosen = settings(page_after="0.05")
    activation = Activation(chosen, fake.governor, pacer, hosts, _none)
    return activation.application(Health(Drain(fake.run_dir, "boot")))


class Exchange:
    """The applications `control` and `activate`, each of which answers one request at a time."""

    def __init__(self) -> None:
        # It is removed with this object.
        self._folder = TemporaryDirectory(dir="/dev/shm")
        self.emperor = fake_emperor(Path(self._folder.name))
        self._loop = self.emperor.loop
        self._faults: list[str] = []
        self._loop.set_exception_handler(lambda _, told: self._faults.append(str(told)))
        applications = {
            "control": self.emperor.application,
            "activate": activation_of(self.emperor),
        }
        self._servers = {
            name: self._loop.run_until_complete(_served(app)) for name, app in applications.items()
        }

    def ask(self, name: str, caller: Caller, request: bytes) -> bytes:
        """All that is answered, as far as it comes soon."""
        self.emperor.caller = caller
        answer = self._loop.run_until_complete(self._ask(name, request))
        assert not self._faults, self._faults
        return answer

    async def _ask(self, name: str, request: bytes) -> bytes:
        ours, theirs = socket.socketpair()
        answer = b""
        with ours:
            ours.setblocking(False)
            transport, _ = await self._loop.connect_accepted_socket(self._servers[name], theirs)
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._loop.sock_sendall(ours, request)
                    while part := await self._loop.sock_recv(ours, 1 << 16):
                        answer += part
            except (TimeoutError, ConnectionError):
                pass
            finally:
                transport.close()
        return answer


async def _served(app: web.Application) -> web.Server:
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    assert runner.server
    return runner.server


@lru_cache(maxsize=1)
def exchange() -> Exchange:
    """One for the whole process, since it takes long to make."""
    return Exchange()


def composed(data: bytes) -> bytes:
    """A request whose first line has the method and the target, and whose further lines are headers
    and, after an empty line, the body."""
    head, _, body = data.partition(b"\n\n")
    line, *headers = head.split(b"\n")
    ends = b"Content-Length: %d" % len(body), b"Connection: close"
    lines = [line + b" HTTP/1.1", b"Host: emperord", *headers, *ends]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def ask_control(data: bytes) -> None:
    """A request of an administrator or a tenant, by the first byte."""
    caller, request = CALLERS[data[:1] != b"0"], composed(data[1:])
    answer = exchange().ask("control", caller, request)
    _check(answer)
    # An answer repeats the host that was asked for.
    if not caller.is_administrator and b"%" not in data and not any(map(data.count, SECRETS)):
        assert not any(map(answer.count, SECRETS)), answer


def ask_activate(data: bytes) -> None:
    """A request as nginx passes it on, with what visitors can have it pass on."""
    _check(exchange().ask("activate", CALLERS[0], composed(data)))


def _check(answer: bytes) -> None:
    assert not answer or answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), answer
    assert not answer[9:].startswith(b"500"), answer
