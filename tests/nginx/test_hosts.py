"""Host names are hostile: only what may become a folder gets past nginx."""

import asyncio
import itertools
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.examples.backend import SHIPPED
from emperor.model.domain import LONGEST_DOMAIN, canonical_host, is_domain
from emperor.model.spec import SOCKET_PATH_BYTES
from tests.eventually import eventually
from tests.http_client import Reply, Request, ask, send
from tests.nginx.conftest import App
from tests.nginx.stub_daemon import StubDaemon
from tests.nginx_server import Nginx, nginx_version

# nginx 1.30 refuses more than 1.22 does, such as a port that is no number. 1.26 does not yet.
IS_STRICTER = nginx_version() >= (1, 27)
LONGEST = f"{'a' * 63}.{'b' * (LONGEST_DOMAIN - 64)}"


async def get_from(nginx: Nginx, host: bytes) -> Reply:
    raw = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    return await asyncio.to_thread(send, nginx.port, raw)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("example.com:8080", "example.com"),
        ("example.com.", "example.com"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("a_b.example.com", "a_b.example.com"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
    ],
)
async def test_a_host_name_is_normalised(
    nginx: Nginx, unknown: StubDaemon, host: str, domain: str
) -> None:
    reply = await get_from(nginx, host.encode())
    assert (reply.status, reply.text) == (404, domain)


@pytest.mark.parametrize(
    "host",
    ["../../etc/passwd", "a/../b", "..", ".", "a..b", "", "a b", "a\x00b", "a\r\nHost: b"],
)
async def test_what_nginx_takes_for_malformed_is_400(
    nginx: Nginx, unknown: StubDaemon, host: str
) -> None:
    assert (await get_from(nginx, host.encode())).status == 400
    assert unknown.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "%2e%2e", "$(id).com", "a;b", "[::1]", ".example.com",
        "-a.example", "a-.example", "a*b", "~", f"{'a' * 64}.example", f"{LONGEST}b", "a." * 150,
    ],
)  # fmt: skip
async def test_what_can_be_no_domain_is_421(nginx: Nginx, unknown: StubDaemon, host: str) -> None:
    reply = await get_from(nginx, host.encode())
    assert (reply.status, reply.text) == (421, "No such host is served here.\n")
    assert unknown.asked == []


@pytest.mark.parametrize("host", ["a'b\"c", "a@b.com", "münchen.de"])
async def test_what_a_newer_nginx_refuses_is_not_served(
    nginx: Nginx, unknown: StubDaemon, host: str
) -> None:
    assert (await get_from(nginx, host.encode())).status in (400, 421)
    assert unknown.asked == []


async def test_a_request_without_a_host_is_not_served(nginx: Nginx, unknown: StubDaemon) -> None:
    assert (await asyncio.to_thread(send, nginx.port, b"GET / HTTP/1.0\r\n\r\n")).status == 421
    without = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert (await asyncio.to_thread(send, nginx.port, without)).status == 400
    assert unknown.asked == []


async def test_the_host_of_an_absolute_uri_wins(nginx: Nginx, unknown: StubDaemon) -> None:
    request = Request("b.example", "http://a.example/x")
    reply = await asyncio.to_thread(ask, nginx.port, request)
    assert reply.text == "a.example"


def spellings() -> list[str]:
    """Short hosts of all shapes that nginx might read differently from the daemon."""
    long = map("".join, itertools.product("aB.:[]", repeat=4))
    short = ("".join(host) for n in (1, 2) for host in itertools.product("aB.:[]/-_;", repeat=n))
    return [*long, *short, "WWW.Example.COM.:8080", "[::1].:80", "a.:8.0", "a:8..0", "a b", "a\tb"]


async def test_emperorctl_spells_a_host_as_nginx_does(nginx: Nginx, unknown: StubDaemon) -> None:
    hosts = spellings()
    refused = set()
    for number, host in enumerate(hosts):
        raw = f"GET /{number} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        if (await asyncio.to_thread(send, nginx.port, raw.encode())).status == 400:
            refused.add(host)
    seen = re.compile(r' (\S+) "GET /(\d+) HTTP/1.1" (?!400)')

    def spelled() -> dict[str, str]:
        return {hosts[int(m[2])]: m[1] for m in map(seen.search, nginx.access_lines()) if m}

    # Each worker of nginx writes its lines after it has answered.
    eventually(lambda: refused | set(spelled()) == set(hosts))
    spellings_of_nginx = spelled()
    for host in hosts:
        if host in refused:
            with suppress(ValueError) if IS_STRICTER else pytest.raises(ValueError, match="it "):
                canonical_host(host)
        else:
            assert canonical_host(host) == spellings_of_nginx[host], host


@pytest.mark.parametrize(
    "target",
    [
        "/é", "/%0d%0aX-Evil:1", "/a|b{}^`<>\"", "//evil.example/", "/?" + "a" * 8_000, "/[", "/\\",
    ],
)  # fmt: skip
async def test_the_daemon_understands_a_question_with_any_path(
    nginx: Nginx, app: App, daemon: StubDaemon, target: str
) -> None:
    raw = f"GET {target} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n"
    assert (await asyncio.to_thread(send, nginx.port, raw.encode())).status == 200
    assert len(daemon.asked) == 1
    assert daemon.asked[0].headers.keys() == {
        "host", "connection", "x-domain", "x-navigate", "x-html", "x-try",
        "x-original-method", "x-original-path", "x-request-id", "x-forwarded-for", "x-may-run",
        "x-head-bytes",
    }  # fmt: skip
    assert len(app.runs) == 1


def server_name() -> re.Pattern[str]:
    """The shipped regex; Python spells a named group with a P."""
    [regex] = re.findall(r'server_name "~(\S+)";', (SHIPPED / "backend.conf").read_text())
    return re.compile(regex.replace("(?<domain>", "(?P<domain>"), re.ASCII | re.IGNORECASE)


HOSTS = st.one_of(
    st.text("aZ09_.-", max_size=LONGEST_DOMAIN + 3),
    st.from_regex(r"\A([a-z0-9_-]{1,64}\.){0,3}[a-z]{1,25}\Z"),
    st.text(st.characters(exclude_characters="\n")),
)


def test_the_longest_domain_fits_into_a_socket_path() -> None:
    assert len(f"/var/sockets/{LONGEST}/socket") == SOCKET_PATH_BYTES
    assert server_name().search(LONGEST)


@given(HOSTS)
def test_nginx_and_the_daemon_agree_on_what_a_domain_is(host: str) -> None:
    assert bool(server_name().search(host)) == is_domain(host.lower())
