"""Which requests are answered while a new version of the daemon starts, and what becomes of the
others."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from emperor.linux.limits import raise_open_files
from emperor.web.drain import Drain
from emperor.web.health import Health
from emperor.web.stand_in import NAME, Post, Question, Reply, question_of, relieve, stand_in

PROBE = b"GET /emperord-health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /emperord-hea",
        b"GET /emperord-health HTTP/1.1\r\nHost: x\r\n",
        b"POST /v1/vassals/a.example/start HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_whole_get_is_for_the_daemon(head: bytes) -> None:
    assert question_of(head) is None


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_whole_get_is_a_question(version: bytes) -> None:
    question = question_of(PROBE.replace(b"1.1", version))
    assert question == Question("/emperord-health", b"Host: x\r\n")
    assert question.has("host")
    assert not question.has("x")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/emperord-health", b"X-Domain: a.example\r\n"),
        ("/emperord-health", b"x-domain: a.example\r\n"),
        ("/emperord-health?", b""),
        ("/", b""),
    ],
)
async def test_a_hit_is_no_probe(tmp_path: Path, path: str, fields: bytes) -> None:
    with socket.socket() as nginx:
        health = Health(Drain(tmp_path, "boot"))
        assert await health.reply(Question(path, fields), nginx) is None


class Site:
    """A listening socket, at which a stand-in answers `here` to `/here`."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.setblocking(False)
        self.left: list[socket.socket] = []
        self.post = Post("a post", self.listener, self.reply, self.leave)

    async def reply(self, question: Question, _connection: socket.socket) -> Reply | None:
        return Reply(200, "text/plain", "hier: ä") if question.path == "/here" else None

    def leave(self) -> None:
        for connection in self.left:
            connection.close()

    def ask(self, head: bytes) -> socket.socket:
        """A new connection that has sent this."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(self.path)
        connection.sendall(head)
        return connection


@asynccontextmanager
async def standing_in(folder: Path) -> AsyncIterator[tuple[Site, int]]:
    """A site with a stand-in, and the descriptor by which that is relieved."""
    site = Site(folder)
    with site.listener, stand_in([site.post]) as fds:
        yield site, os.dup(fds[NAME])
    await asyncio.to_thread(os.waitpid, -1, 0)


def all_of(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(4096), b""))


async def test_it_answers_some_and_passes_the_rest_on(tmp_path: Path) -> None:
    async with standing_in(tmp_path) as (site, fd):
        answer = all_of(site.ask(b"GET /here HTTP/1.1\r\n\r\n"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.endswith("\r\n\r\nhier: ä".encode())
        order = b"POST /here HTTP/1.1\r\n\r\n"
        clients = [site.ask(order), site.ask(b"GET /he"), site.ask(b"")]
        # It has accepted all before it answers this.
        all_of(site.ask(b"GET /here HTTP/1.1\r\n\r\n"))
        passed_on = await relieve(fd)
        assert {name for name, _ in passed_on} == {"a post"}
        got = []
        for _, connection in passed_on:
            with connection:
                try:
                    got.append(connection.recv(4096))
                except BlockingIOError:
                    got.append(b"")
                connection.send(b"done")
        assert sorted(got) == [b"", b"GET /he", order], "what they have sent is still to be read"
        assert [all_of(client) for client in clients] == [b"done"] * 3
        late = site.ask(b"GET /here HTTP/1.1\r\n\r\n")
        site.listener.accept()[0].close()
        late.close()


@pytest.fixture
def as_many_descriptors_as_a_daemon() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_open_files()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("as_many_descriptors_as_a_daemon")
async def test_it_passes_on_more_than_the_channel_holds(tmp_path: Path) -> None:
    async with standing_in(tmp_path) as (site, fd):
        site.listener.listen(1000)
        clients = [site.ask(b"GET /else HTTP/1.1\r\n\r\n") for _ in range(600)]
        # It cannot have passed on all of these yet, and answers meanwhile.
        assert all_of(site.ask(b"GET /here HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        passed_on = await relieve(fd)
        assert len(passed_on) == len(clients)
        for connection in (*clients, *(connection for _, connection in passed_on)):
            connection.close()


async def test_it_leaves_earlier_connections_and_ends_alone(tmp_path: Path) -> None:
    site = Site(tmp_path)
    ours, theirs = socket.socketpair()
    site.left.append(theirs)
    with site.listener, ours, stand_in([site.post]) as fds:
        assert fds
        theirs.close()
        ours.settimeout(60)
        assert ours.recv(1) == b"", "the stand-in has closed it too"
    pid, status = await asyncio.to_thread(os.waitpid, -1, 0)
    assert (pid > 0, status) == (True, 0)


def test_an_upgrade_goes_on_without_a_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with Site(tmp_path).listener as listener:
        post = Post("a post", listener, Site.reply, bool)  # type: ignore[arg-type]
        with stand_in([post]) as fds:
            assert fds == {}
    assert "nobody answers until the new version does" in caplog.text


@pytest.fixture
def no_free_descriptor() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull, "rb") as next_one:
        free = next_one.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("no_free_descriptor")
def test_an_upgrade_goes_on_without_a_descriptor(caplog: pytest.LogCaptureFixture) -> None:
    with stand_in([]) as fds:
        assert fds == {}
    assert "nobody answers until the new version does: Too many open files" in caplog.text
