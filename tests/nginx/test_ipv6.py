"""Visitors and balancers over IPv6: the backend treats them as those over IPv4."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from tests.http_client import Request, ask
from tests.nginx.conftest import App
from tests.nginx.stub_daemon import StubDaemon
from tests.nginx_server import Nginx

HOST = "app.example"
BALANCER = "::1"
STRANGER = "fd00::2"
VISITOR = "2001:db8::7"
FORWARDED = {
    "X-Forwarded-For": VISITOR,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "443",
    "X-Real-Port": "51234",
}


@pytest.fixture(scope="module", autouse=True)
def second_address() -> Iterator[None]:
    """In the network of these tests (tests/host.py), which has only ::1 otherwise."""
    with IPRoute() as links:
        (loopback,) = links.link_lookup(ifname="lo")
        links.addr("add", index=loopback, address=STRANGER, prefixlen=128)
        yield
        links.addr("delete", index=loopback, address=STRANGER, prefixlen=128)


@pytest.fixture
def nginx(folder: Path) -> Iterator[Nginx]:
    with Nginx(folder, ("127.0.0.1", "[::1]")) as nginx:
        yield nginx


async def environ(nginx: Nginx, headers: dict[str, str], source: str, tls: bool) -> dict[str, Any]:
    port = nginx.tls_port if tls else nginx.port
    reply = await asyncio.to_thread(ask, port, Request(HOST, headers=headers), source, tls)
    env: dict[str, Any] = json.loads(reply.text)["environ"]
    return env


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_a_visitor_over_ipv6_reaches_an_app_cold_and_warm(
    nginx: Nginx, app: App, daemon: StubDaemon, tls: bool
) -> None:
    for _ in ("cold", "warm"):
        env = await environ(nginx, FORWARDED, STRANGER, tls)
        assert env["REMOTE_ADDR"] == env["HTTP_X_FORWARDED_FOR"] == STRANGER
        assert env["REMOTE_PORT"] not in ("", "51234")
        assert env["SERVER_PORT"] == str(nginx.tls_port if tls else nginx.port)
        assert env["wsgi.url_scheme"] == ("https" if tls else "http")
    assert [asked.headers["x-forwarded-for"] for asked in daemon.asked] == [STRANGER]


@pytest.mark.parametrize("source", [BALANCER, "127.0.0.1"])
async def test_a_balancer_tells_of_a_visitor_over_ipv6(
    nginx: Nginx, app: App, daemon: StubDaemon, source: str
) -> None:
    env = await environ(nginx, FORWARDED, source, tls=False)
    assert env["REMOTE_ADDR"] == env["HTTP_X_FORWARDED_FOR"] == VISITOR
    assert (env["REMOTE_PORT"], env["SERVER_PORT"]) == ("51234", "443")
    assert [asked.headers["x-forwarded-for"] for asked in daemon.asked] == [VISITOR]


async def test_a_balancer_over_ipv6_probes_the_health(nginx: Nginx, unknown: StubDaemon) -> None:
    for source in (BALANCER, STRANGER):
        await asyncio.to_thread(ask, nginx.port, Request(HOST, "/emperord-health"), source)
    assert [asked.request_line for asked in unknown.asked] == ["GET /emperord-health", "GET /"]
