"""Host names through the shipped balancer and shipped backends: both take them for the same."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from docs.examples.rewriting import rewrite
from tests.balancer.backends import ADDRESSES
from tests.balancer.fleet import Balancer, served
from tests.balancer.vectors import VECTORS, stock_index
from tests.eventually import eventually_async
from tests.http_client import Reply, send
from tests.nginx.stub_daemon import Asked, StubDaemon, serving
from tests.nginx_server import Nginx, free_ports

# Names that must be served.
PLAIN = re.compile(r"([A-Za-z0-9]+\.)*[A-Za-z0-9]+")


async def answer(address: str, asked: Asked) -> web.Response:
    """Every app is unknown; the daemon says who it is, and whom it was asked for."""
    if "x-domain" not in asked.headers:
        return web.Response(text="serving\n")
    return web.Response(status=404, text=f"{address} {asked.domain}")


class Journey:
    """A balancer in front of three backends, whose `daemons` tell what arrives."""

    def __init__(self, balancer: Balancer, daemons: list[StubDaemon]) -> None:
        self._balancer = balancer
        self._daemons = daemons

    async def get(self, host: str, target: str = "/", version: str = "1.1") -> Reply:
        """Ask with this Host header, as it is; several lines are several headers."""
        lines = [f"GET {target} HTTP/{version}", f"Host: {host}", "Connection: close", "", ""]
        return await self.send("\r\n".join(lines))

    async def send(self, request: str) -> Reply:
        """Send a whole request."""
        return await asyncio.to_thread(send, self._balancer.port, request.encode())

    @property
    def asked(self) -> list[str]:
        """Whom the daemons were asked for."""
        return [
            asked.domain
            for daemon in self._daemons
            for asked in daemon.asked
            if "x-domain" in asked.headers
        ]


@pytest.fixture
async def journey(folder: Path) -> AsyncIterator[Journey]:
    http, https = free_ports(2)
    daemons = []
    async with AsyncExitStack() as stack:
        for address in ADDRESSES:
            place = folder / address
            place.mkdir()
            backend = Nginx(place, [address], (http, https))
            # A busy machine answers a probe late.
            backend.expect("upstream timed out .*/emperord-health")
            daemon = await stack.enter_async_context(serving(place))
            daemon.answer = partial(answer, address)
            daemons.append(daemon)
            await stack.enter_async_context(served(backend))
        balancer = Balancer(folder, ADDRESSES, (http, https))
        await stack.enter_async_context(served(balancer))
        yield Journey(balancer, daemons)


def own(domain: str) -> str:
    """What the daemon of the backend says that a domain belongs to."""
    return f"{ADDRESSES[stock_index(domain, len(ADDRESSES))]} {domain}"


async def test_a_backend_is_asked_for_the_name_that_was_hashed(
    journey: Journey,
) -> None:
    spellings = {
        "example.com": "example.com",
        "EXAMPLE.Com": "example.com",
        "example.com:8080": "example.com",
        "example.com.": "example.com",
        "Example.com.:8080": "example.com",
        "127.0.0.1": "127.0.0.1",
        "a_b.example.com": "a_b.example.com",
    }
    spellings |= {
        host: host
        for host in VECTORS
        if host.islower()
        and host[-1].isalpha()
        # The path of a socket is longer here than in production.
        and len(host) < 40
    }
    replies = {host: await journey.get(host) for host in spellings}
    assert {host: reply.text for host, reply in replies.items()} == {
        host: own(domain) for host, domain in spellings.items()
    }


async def test_the_host_of_an_absolute_uri_wins_everywhere(
    journey: Journey,
) -> None:
    for domain, other in (("a.example", "b.example"), ("c.example", "a.example")):
        reply = await journey.get(other, f"http://{domain.upper()}:8080/x")
        assert reply.text == own(domain)


@pytest.mark.parametrize(
    "host",
    [
        "../../etc/passwd", "a/../b", "..", ".", "a..b", "", "a b", "a\x00b",
        "a.example\r\nHost: b.example",
    ],
)  # fmt: skip
async def test_what_nginx_takes_for_malformed_is_400(journey: Journey, host: str) -> None:
    assert (await journey.get(host)).status == 400
    assert journey.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "%2e%2e", "$(id).com", "a;b", "[::1]", ".example.com",
        "-a.example", "a*b", "~", f"{'a' * 64}.example", f"{'a' * 63}.{'b' * 24}", "a." * 150,
    ],
)  # fmt: skip
async def test_what_can_be_no_domain_is_421(journey: Journey, host: str) -> None:
    reply = await journey.get(host)
    assert (reply.status, reply.text) == (421, "No such host is served here.\n")
    assert journey.asked == []


@pytest.mark.parametrize("host", ["a'b\"c", "a@b.com", "münchen.de"])
async def test_what_a_newer_nginx_refuses_reaches_no_backend(journey: Journey, host: str) -> None:
    assert (await journey.get(host)).status in (400, 421)
    assert journey.asked == []


async def test_a_request_without_a_host_is_421(journey: Journey) -> None:
    reply = await journey.send("GET / HTTP/1.0\r\n\r\n")
    assert (reply.status, reply.text) == (421, "No such host is served here.\n")
    assert (await journey.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")).status == 400
    assert journey.asked == []


async def test_an_unknown_balancers_probe_wakes_no_domain(
    folder: Path,
) -> None:
    """Else every probe looked for an app of that name, and might have had one made."""
    http, https = free_ports(2)
    place = folder / ADDRESSES[0]
    place.mkdir()
    backend = Nginx(place, ADDRESSES[:1], (http, https))
    rewrite([backend.conf.parent / "emperord" / "balancers.conf"], {"127.0.0.1": "192.0.2.1"})
    async with serving(place) as daemon, served(backend):
        balancer = Balancer(folder, ADDRESSES[:1], (http, https))
        async with served(balancer):
            await eventually_async(lambda: "421" in "".join(balancer.error_lines()))
            assert balancer.marks[0].endswith(" unwell")
    assert daemon.asked == []


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(host="App.example")
@given(
    host=st.one_of(
        st.from_regex(r"\A([aB0_-]{1,12}\.){0,3}[aB1-]{1,9}\.?(:[0-9]{0,5})?\Z"),
        st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=40),
    )
)
async def test_the_hash_and_the_backend_never_disagree_about_a_name(
    journey: Journey, host: str
) -> None:
    reply = await journey.get(host)
    if reply.status == 404:
        assert reply.text == own(reply.text.split()[1])
    elif PLAIN.fullmatch(host):
        raise AssertionError(f"{host} was not served: {reply.status}")
    else:
        assert reply.status in (400, 421)
