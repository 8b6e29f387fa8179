"""Probes of load balancers get the daemon's health; the path is an app's own for everybody else."""

import asyncio
import hashlib
import json

import pytest
from aiohttp import web

from tests.eventually import eventually_async
from tests.http_client import Reply, Request, ask, send
from tests.nginx.conftest import App
from tests.nginx.stub_daemon import Asked, StubDaemon
from tests.nginx_server import Nginx

HOST = "app.example"
PATH = "/emperord-health"
BALANCER = "127.0.0.1"
STRANGER = "127.0.0.2"
BODY = bytes(range(250)) * 20_000


async def get(nginx: Nginx, request: Request, source: str = BALANCER, tls: bool = False) -> Reply:
    port = nginx.tls_port if tls else nginx.port
    return await asyncio.to_thread(ask, port, request, source, tls)


@pytest.fixture
def unwell(daemon: StubDaemon) -> StubDaemon:
    """A daemon that drains."""

    async def answer(asked: Asked) -> web.Response:
        return web.Response(status=503, text="draining\n")

    daemon.answer = answer
    return daemon


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("host", [HOST, "127.0.0.1", "a;b", "x" * 90 + ".example"])
async def test_a_probe_of_any_host_is_told_what_the_daemon_says(
    nginx: Nginx, unwell: StubDaemon, host: str, tls: bool
) -> None:
    reply = await get(nginx, Request(host, PATH), tls=tls)
    assert (reply.status, reply.text) == (503, "draining\n")
    (asked,) = unwell.asked
    assert asked.request_line == f"GET {PATH}"
    own = {"host": "localhost", "connection": "close"}
    assert asked.headers == own | {"x-forwarded-for": BALANCER}


async def test_a_probe_in_http_1_0_needs_no_host(nginx: Nginx, unwell: StubDaemon) -> None:
    reply = await asyncio.to_thread(send, nginx.port, f"GET {PATH} HTTP/1.0\r\n\r\n".encode())
    assert (reply.status, reply.text) == (503, "draining\n")


async def test_a_serving_daemons_probe_is_200_and_not_logged(
    nginx: Nginx, daemon: StubDaemon, app: App
) -> None:
    async def serving(_asked: Asked) -> web.Response:
        return web.Response(text="serving\n")

    daemon.answer = serving
    reply = await get(nginx, Request(HOST, PATH))
    assert (reply.status, reply.text) == (200, "serving\n")
    app.open_door()
    await get(nginx, Request(HOST, "/after"))
    # nginx sends the reply before it writes the line.
    lines = await eventually_async(nginx.access_lines)
    assert [line.split('"')[1] for line in lines] == ["GET /after HTTP/1.1"]


async def test_a_daemon_that_is_dead_is_503(nginx: Nginx) -> None:
    nginx.expect(r"activate.sock failed \(2: No such file or directory\)")
    reply = await get(nginx, Request(HOST, PATH))
    assert (reply.status, reply.text) == (503, "emperord does not answer\n")


async def test_a_daemon_that_is_stuck_is_503(nginx: Nginx, daemon: StubDaemon) -> None:
    end = asyncio.Event()

    async def late(_asked: Asked) -> web.Response:
        await end.wait()
        return web.Response(text="serving\n")

    nginx.expect(r"upstream timed out .*activate.sock")
    daemon.answer = late
    reply = await get(nginx, Request(HOST, PATH))
    end.set()
    assert (reply.status, reply.text) == (503, "emperord does not answer\n")


FORWARDED = {"X-Forwarded-For": "203.0.113.7"}


URI = f"{PATH}?a=1"
VISITS = {
    "GET through a balancer": (Request(HOST, URI, "GET", FORWARDED), BALANCER),
    "POST through a balancer": (Request(HOST, URI, "POST", FORWARDED, BODY), BALANCER),
    "GET of a stranger": (Request(HOST, URI), STRANGER),
    "POST of a stranger": (Request(HOST, URI, "POST", FORWARDED, BODY), STRANGER),
}


@pytest.mark.parametrize(("request_", "source"), VISITS.values(), ids=VISITS)
async def test_a_visitors_request_for_that_path_goes_to_the_app(
    nginx: Nginx, app: App, daemon: StubDaemon, request_: Request, source: str
) -> None:
    replies = [await get(nginx, request_, source) for _ in range(2)]
    for reply in replies:
        assert reply.status == 200
        seen = json.loads(reply.text)
        assert seen["environ"]["REQUEST_URI"] == URI
        assert seen["sha256"] == hashlib.sha256(BODY if request_.body else b"").hexdigest()
    assert app.runs == [f"{request_.method} {PATH}"] * 2
    (asked,) = daemon.asked
    assert asked.domain == HOST


async def test_a_path_beside_it_is_an_apps_own_for_a_balancer_too(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    app.open_door()
    for path in (f"{PATH}/", f"{PATH}z"):
        assert (await get(nginx, Request(HOST, path))).status == 200
    assert not daemon.asked


async def test_an_app_that_fails_on_that_path_is_502_as_ever(
    nginx: Nginx, unknown: StubDaemon
) -> None:
    reply = await get(nginx, Request("none.example", PATH), STRANGER)
    assert (reply.status, reply.text) == (404, "none.example")


@pytest.mark.parametrize("host", ["a;b", ""])
async def test_a_stranger_without_a_host_learns_nothing(
    nginx: Nginx, daemon: StubDaemon, host: str
) -> None:
    for path in (PATH, "/"):
        assert (await get(nginx, Request(host, path), STRANGER)).status in (400, 421)
    assert not daemon.asked
