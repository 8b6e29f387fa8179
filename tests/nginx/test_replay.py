"""An app fails while it has a request: which requests are run again, and which never are."""

import asyncio
import http.client
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import quote_plus, urlencode

import pytest
from aiohttp import web

from tests.eventually import PATIENCE_SECONDS, eventually_async
from tests.http_client import Request, ask
from tests.nginx.conftest import App
from tests.nginx.stub_daemon import Asked, StubDaemon, run_it
from tests.nginx_server import Nginx

HOST = "app.example"
# X-Accel-Redirect: test_downloads.
STEERING = {
    "X-Accel-Expires": "3600",
    "X-Accel-Limit-Rate": "1",
    "X-Accel-Buffering": "no",
    "X-Accel-Charset": "klingon",
    "Content-Type": "text/plain",
}
DIED = r"upstream prematurely closed connection|recv\(\) failed \(104: Connection reset by peer\)"


@pytest.fixture
def warm(app: App, nginx: Nginx) -> App:
    app.open_door()
    nginx.expect(DIED)
    return app


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PURGE"])
async def test_an_unsafe_request_whose_app_dies_runs_once(
    nginx: Nginx, warm: App, daemon: StubDaemon, method: str
) -> None:
    request = Request(HOST, "/die", method, body=b"transfer")
    reply = await asyncio.to_thread(ask, nginx.port, request)
    assert reply.status == 502
    assert "was not repeated" in reply.text
    assert warm.runs == [f"{method} /die"]
    assert daemon.asked == []


async def test_a_cold_unsafe_request_whose_app_dies_runs_once(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    nginx.expect(DIED)
    request = Request(HOST, "/die", "POST", body=b"transfer")
    reply = await asyncio.to_thread(ask, nginx.port, request)
    assert reply.status == 502
    assert app.runs == ["POST /die"]
    assert len(daemon.asked) == 1


async def test_a_safe_request_whose_app_dies_is_run_once_more(
    nginx: Nginx, warm: App, daemon: StubDaemon
) -> None:
    reply = await asyncio.to_thread(ask, nginx.port, Request(HOST, "/die-once"))
    assert reply.status == 200
    assert len(warm.runs) == 2
    assert len(daemon.asked) == 1


@pytest.mark.parametrize("cold", [True, False], ids=["cold", "warm"])
async def test_a_safe_request_is_run_no_third_time(
    nginx: Nginx, app: App, daemon: StubDaemon, cold: bool
) -> None:
    nginx.expect(DIED)
    if not cold:
        app.open_door()
    reply = await asyncio.to_thread(ask, nginx.port, Request(HOST, "/die"))
    assert reply.status == 502
    assert reply.text.endswith("and again when it was repeated.\n")
    assert [asked.headers.get("x-runs") for asked in daemon.asked] == [None, "1"][not cold :]
    assert app.runs == ["GET /die", "GET /die"]
    assert len(daemon.asked) == (2 if cold else 1)


async def test_emperord_can_forbid_the_second_run(
    nginx: Nginx, warm: App, daemon: StubDaemon
) -> None:
    async def forbid(asked: Asked) -> web.Response:
        assert asked.headers["x-runs"] == "1"
        return web.Response(status=502, text="not repeated\n")

    daemon.answer = forbid
    reply = await asyncio.to_thread(ask, nginx.port, Request(HOST, "/die-once"))
    assert (reply.status, reply.text) == (502, "not repeated\n")
    assert warm.runs == ["GET /die-once"]


async def test_without_emperord_a_request_that_ran_has_failed(nginx: Nginx, warm: App) -> None:
    nginx.expect(r"activate.sock failed \(2: No such file or directory\)")
    reply = await asyncio.to_thread(ask, nginx.port, Request(HOST, "/die-once"))
    assert (reply.status, "was not repeated" in reply.text) == (502, True)
    assert warm.runs == ["GET /die-once"]


async def test_a_502_of_the_app_is_its_own_answer(
    nginx: Nginx, warm: App, daemon: StubDaemon
) -> None:
    reply = await asyncio.to_thread(ask, nginx.port, Request(HOST, "/own-502"))
    assert (reply.status, reply.text) == (502, "the app's own\n")
    assert daemon.asked == []
    assert len(warm.runs) == 1


@pytest.mark.parametrize("path", ["/refuse", "/refuse-briefly"])
@pytest.mark.parametrize("size", [100_000, 10_000_000])
async def test_a_refusal_of_an_upload_arrives_always(
    nginx: Nginx, warm: App, daemon: StubDaemon, path: str, size: int
) -> None:
    nginx.expect("is buffered to a temporary file")
    upload = Request(HOST, path, "POST", body=bytes(size))
    replies = [await asyncio.to_thread(ask, nginx.port, upload) for _ in range(20)]
    assert {(reply.status, reply.text) for reply in replies} == {(401, "not you\n")}
    assert len(warm.runs) == 20


async def test_a_reply_that_breaks_off_is_not_begun_anew(
    nginx: Nginx, warm: App, daemon: StubDaemon
) -> None:
    with pytest.raises(http.client.IncompleteRead):
        await asyncio.to_thread(ask, nginx.port, Request(HOST, "/half"))
    assert len(warm.runs) == 1
    assert daemon.asked == []


async def test_an_app_cannot_steer_nginx(nginx: Nginx, warm: App, daemon: StubDaemon) -> None:
    request = Request(HOST, f"/headers?{urlencode(STEERING)}")
    reply = await asyncio.to_thread(ask, nginx.port, request)
    assert (reply.status, reply.text) == (200, "the app's own body\n")
    assert warm.runs == ["GET /headers"]
    assert reply.headers["content-type"] == "text/plain"
    # The balancer acts on this header and removes it.
    assert [name for name in reply.headers if name.startswith("x-accel")] == ["x-accel-buffering"]


def nothing(path: Path, stack: ExitStack) -> None:
    """ENOENT."""


def closed_door(path: Path, stack: ExitStack) -> None:
    """EACCES."""
    stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
    path.chmod(0)


def stale_file(path: Path, stack: ExitStack) -> None:
    """ECONNREFUSED."""
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    path.chmod(0o666)


def full_queue(path: Path, stack: ExitStack) -> None:
    """EAGAIN."""
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen(0)
    stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))


@pytest.mark.parametrize("obstacle", [nothing, closed_door, stale_file, full_queue])
async def test_what_could_not_be_connected_to_is_no_run(
    folder: Path,
    nginx: Nginx,
    warm: App,
    daemon: StubDaemon,
    obstacle: Callable[[Path, ExitStack], None],
) -> None:
    nginx.expect(r"failed \((111: Connection refused|11: Resource temporarily unavailable)\)")
    path = folder / "sockets" / "other.example" / "socket"
    path.parent.mkdir()

    async def clear_the_way(asked: Asked) -> web.Response:
        path.unlink(missing_ok=True)
        path.symlink_to(warm.socket)
        return run_it()

    daemon.answer = clear_the_way
    with ExitStack() as stack:
        obstacle(path, stack)
        request = Request("other.example", method="POST", body=b"transfer")
        reply = await asyncio.to_thread(ask, nginx.port, request)
    assert reply.status == 200
    assert warm.runs == ["POST /"]
    assert len(daemon.asked) == 1


async def test_a_500_of_nginx_itself_is_told_as_one(
    folder: Path, nginx: Nginx, warm: App, daemon: StubDaemon
) -> None:
    nginx.expect("Permission denied")
    (folder / "nginx" / "temp" / "body").chmod(0)
    large = Request(HOST, "/", "POST", {"X": "x" * 16_000}, bytes(1_000_000))
    assert (await asyncio.to_thread(ask, nginx.port, large)).status == 500
    assert (warm.runs, daemon.asked) == ([], [])


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "103 x", "099 x"])
async def test_a_reply_that_ends_none_becomes_502(nginx: Nginx, warm: App, status: str) -> None:
    """Otherwise a proxy that shares its connection could take the next reply, to the visitor of
    another site, for its end. So that connection ends too."""
    nginx.expect(rf"the app of {HOST} answered {int(status[:3])}, which ends no reply")
    headers = {"Upgrade": "odd"}  # without a word of it in Connection, it asks for nothing
    request = Request(HOST, "/status?" + quote_plus(status), headers=headers)
    reply = await asyncio.to_thread(ask, nginx.port, request)
    assert (reply.status, reply.text) == (
        502, "The application answered with a status below 200.\n",
    )  # fmt: skip
    assert "x-own" not in reply.headers
    assert reply.headers["connection"] == "close"
    assert len(warm.runs) == 1


async def test_a_client_that_does_not_read_fills_no_disk(nginx: Nginx, warm: App) -> None:
    """The app waits for it with the rest of the reply."""
    nginx.expect("an upstream response is buffered to a temporary file")
    folder = str(nginx.conf.parent / "temp" / "uwsgi")

    def stored() -> int:
        """nginx deletes the file at once, and goes on with its descriptor."""
        links = [link for pid in nginx.workers() for link in Path(f"/proc/{pid}/fd").iterdir()]
        return sum(size_of(link) for link in links)

    def size_of(link: Path) -> int:
        with suppress(FileNotFoundError):  # nginx has closed it meanwhile
            return link.stat().st_size if str(link.readlink()).startswith(folder) else 0
        return 0

    limit = 64 * 2**20
    with socket.create_connection(("127.0.0.1", nginx.port), PATIENCE_SECONDS) as client:
        client.sendall(f"GET /large HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await eventually_async(lambda: stored() > limit - 2**20)
        # What nginx, and the kernel, hold beside the file.
        assert stored() < limit + 2**20
        received = 0
        while received < 200 * 2**20:
            received += len(client.recv(2**20))
            assert stored() < limit + 2**20


async def test_a_protocol_is_switched_for_a_client_that_asks(nginx: Nginx, warm: App) -> None:
    head = "Connection: upgrade\r\nUpgrade: odd\r\n\r\n"
    target = "/status?101+Switching+Protocols"
    with socket.create_connection(("127.0.0.1", nginx.port), PATIENCE_SECONDS) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{head}".encode())
        reply = b"".join(iter(lambda: client.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert reply.endswith(b"not mine")
