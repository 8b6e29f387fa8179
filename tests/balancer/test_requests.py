"""What the balancer tells a backend of a request, and what a slow client can hold up."""

import asyncio
import re
import socket
import ssl
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web

from docs.examples.balancer import ROOT
from tests.balancer.backends import Backend, Frozen, Informing, three
from tests.balancer.fleet import Fleet, Listed, Machine, running
from tests.eventually import PATIENCE_SECONDS, TookTooLong, eventually, eventually_async
from tests.http_client import Request, ask, send
from tests.nginx_server import nginx_version

HOST = "app.example"
# Since 1.29 nginx reads on after a 103, as HTTP wants it.
KNOWS_HINTS = nginx_version() >= (1, 29)
CLAIMS = re.findall(
    r'^ +proxy_set_header (\S+) +"";$',
    (ROOT / "nginx" / "loadbalancer.conf").read_text(),
    re.MULTILINE,
)
LIES = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "bank.example",
    "X-Forwarded-Port": "1",
    "X-Real-Port": "2",
    "X-Request-Id": "chosen-by-the-client",
}


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_what_a_client_says_about_itself_is_replaced(fleet: Fleet, tls: bool) -> None:
    reply = await fleet.ask(Request(HOST, headers=LIES), tls)
    [heard] = fleet.by(reply).heard
    assert heard.tls is tls
    received = {name: heard.headers.get(name.lower()) for name in LIES}
    assert re.fullmatch("[0-9a-f]{32}", received.pop("X-Request-Id") or "")
    assert int(received.pop("X-Real-Port") or "") > 1024
    assert received == {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https" if tls else "http",
        "X-Forwarded-Host": HOST,
        "X-Forwarded-Port": str(fleet.balancer.tls_port if tls else fleet.balancer.port),
    }


async def test_what_only_a_server_in_front_may_say_is_removed(fleet: Fleet) -> None:
    claims = dict.fromkeys([*CLAIMS, "X-Own"], "claimed")
    [heard] = fleet.by(await fleet.ask(Request(HOST, headers=claims))).heard
    assert {name for name, value in heard.headers.items() if value == "claimed"} == {"x-own"}


async def test_a_host_may_keep_what_its_own_server_in_front_says(folder: Path) -> None:
    """As docs/sites.md has it."""
    page = (ROOT / "docs" / "sites.md").read_text()
    [one_host] = re.findall(r"^map \$host .*$", page, re.MULTILINE)
    [line] = re.findall(r"^(proxy_set_header .*?;) ", page, re.MULTILINE)
    async with running(folder, [backend := Backend("127.0.0.11")]) as fleet:
        conf = fleet.balancer.conf.read_text()
        assert 'proxy_set_header True-Client-IP "";' in conf
        conf = conf.replace('proxy_set_header True-Client-IP "";', line)
        fleet.balancer.conf.write_text(conf.replace("http {\n", f"http {{\n{one_host}\n", 1))
        fleet.balancer.reload()
        claims = {"True-Client-IP": "192.0.2.66", "X-Client-IP": "192.0.2.66"}
        asking = partial(ask, fleet.balancer.port, Request("www.example.com", headers=claims))

        def is_kept() -> bool:
            asking()
            return "true-client-ip" in backend.heard[-1].headers

        await asyncio.to_thread(eventually, is_kept)
        await fleet.ask(Request("other.example", headers=claims))
        *_, kept, dropped = backend.heard
        assert kept.headers["true-client-ip"] == "192.0.2.66"
        assert "x-client-ip" not in kept.headers
        assert "true-client-ip" not in dropped.headers


@pytest.mark.parametrize("address", ["127.0.0.11", "::1"])
async def test_a_backend_with_a_port_is_asked_by_http(folder: Path, address: str) -> None:
    """One port cannot serve both; what the client sees is told in a header."""
    async with running(
        folder, [backend := Backend(address)], listed=Listed(with_ports=True)
    ) as fleet:
        for tls in (False, True):
            assert fleet.by(await fleet.ask(Request(HOST), tls)) is backend
        assert [heard.tls for heard in backend.heard] == [False, False]
        received = [heard.headers["x-forwarded-proto"] for heard in backend.heard]
        assert received == ["http", "https"]
        assert fleet.balancer.marks == []


async def test_a_visitor_over_ipv6_is_told_of_by_its_address(folder: Path) -> None:
    backend = Backend("127.0.0.11")
    async with running(folder, [backend], machine=Machine(("127.0.0.1", "[::1]"))) as fleet:
        for port, tls in ((fleet.balancer.port, False), (fleet.balancer.tls_port, True)):
            reply = await asyncio.to_thread(ask, port, Request(HOST), "::1", tls)
            assert fleet.by(reply) is backend
        told = [heard.headers["x-forwarded-for"] for heard in backend.heard]
        assert told == ["::1", "::1"]


async def test_the_hosts_of_a_wildcard_can_share_a_place(folder: Path) -> None:
    """By the map of docs/wildcards.md."""
    page = (ROOT / "docs" / "wildcards.md").read_text()
    [example] = re.findall(r"(?ms)^map \$host \$placed_host \{.*?^\}", page)
    hosts = [f"{name}.shop.example" for name in ("a", "b", "c", "d", "e", "f")]
    async with running(folder, three()) as fleet:
        own = fleet.by(await fleet.ask(Request("shop.example")))
        assert {fleet.by(await fleet.ask(Request(host))) for host in hosts} != {own}
        other = fleet.by(await fleet.ask(Request("a.example")))
        conf = fleet.balancer.conf.read_text()
        conf, count = re.subn(r"(?ms)^ *map \$host \$placed_host \{.*?^ *\}", example, conf)
        assert count == 1
        fleet.balancer.conf.write_text(conf)
        fleet.balancer.reload()
        places = partial(ask, fleet.balancer.port)

        def is_shared() -> bool:
            return {fleet.by(places(Request(host))) for host in hosts} == {own}

        await asyncio.to_thread(eventually, is_shared)
        assert own.heard[-1].host in hosts, "the backend hears of the host itself"
        assert fleet.by(await fleet.ask(Request("a.example"))) is other


async def test_everything_else_arrives_as_it_was_sent(fleet: Fleet) -> None:
    target = "/a%20b/%2F%25/%C3%A9//c?q=%0d%0a&r=%2E%2e"
    headers = {"Cookie": "c" * 7_000, "Authorization": "a" * 7_000, "X-Own": "kept"}
    body = bytes(range(250)) * 20_000
    [heard] = fleet.by(await fleet.ask(Request(HOST, target, "POST", headers, body))).heard
    assert (heard.line, heard.body) == (f"POST {target}", body)
    assert {name: heard.headers[name.lower()] for name in headers} == headers


@pytest.mark.parametrize(
    ("sent", "target", "heard"),
    [
        ("APP.example", "/", "app.example"),
        ("app.example.:8080", "/", "app.example:8080"),
        ("bank.example", "http://app.example/", "app.example"),
        ("bank.example:1", "http://app.example:2/", "app.example"),
    ],
)
async def test_a_backend_is_told_the_hashed_host_and_the_clients_port(
    fleet: Fleet, sent: str, target: str, heard: str
) -> None:
    backend = fleet.own("app.example")
    assert fleet.by(await fleet.ask(Request(sent, target))) is backend
    assert backend.heard[0].host == backend.heard[0].headers["x-forwarded-host"] == heard


def _upgrade(port: int, tls: bool) -> bytes:
    """Ask for a tunnel: all that comes back until the connection ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    ask = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as plain:
        connection = context.wrap_socket(plain) if tls else plain
        with connection:
            connection.sendall(ask.encode())
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    "status",
    [
        "100 Continue",
        "101 Switching Protocols",
        pytest.param("103 Early Hints", marks=pytest.mark.skipif(KNOWS_HINTS, reason="it waits")),
    ],
)
async def test_a_status_that_ends_no_reply_ends_the_connection(
    folder: Path, status: str, tls: bool
) -> None:
    """An app could answer other visitors of a proxy that keeps the connection. By a tunnel, the
    client could send the backend headers that only the balancer may send."""
    async with running(folder, [app := Informing("127.0.0.11", status)]) as fleet:
        port = fleet.balancer.tls_port if tls else fleet.balancer.port
        assert await asyncio.to_thread(_upgrade, port, tls) == b""
        [visit] = [raw for raw in app.raw if b"/emperord-health" not in raw]
        assert b"\r\nUpgrade:" not in visit


async def test_one_id_runs_through_the_log_and_the_request(fleet: Fleet) -> None:
    backend = fleet.by(await fleet.ask(Request(HOST, "/found")))
    await eventually_async(fleet.balancer.access_lines)
    [line] = fleet.balancer.access_lines()
    assert f" http {HOST} " in line
    address = backend.address
    assert f" own=http://{address} up={address}:{fleet.balancer.port} us=200 " in line
    assert f" id={backend.heard[0].headers['x-request-id']} " in line


async def test_a_body_that_is_too_large_reaches_no_backend(fleet: Fleet) -> None:
    fleet.balancer.expect("client intended to send too large body")
    headers = {"Content-Length": str(100 * 2**20 + 1)}
    assert (await fleet.ask(Request(HOST, method="POST", headers=headers))).status == 413
    assert [backend.heard for backend in fleet.backends] == [[], [], []]


async def test_a_request_without_a_host_reaches_no_backend(fleet: Fleet) -> None:
    reply = await asyncio.to_thread(send, fleet.balancer.port, b"GET / HTTP/1.0\r\n\r\n")
    assert (reply.status, reply.text) == (421, "No such host is served here.\n")
    assert [backend.heard for backend in fleet.backends] == [[], [], []]


async def test_slow_clients_reach_no_backend_and_hold_up_nobody(fleet: Fleet) -> None:
    where = ("127.0.0.1", fleet.balancer.port)
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
    clients = [socket.create_connection(where) for _ in range(50)]
    try:
        for number, client in enumerate(clients):
            # Some have not come further than their headers.
            client.sendall(head[: -20 * (number % 2) or None].encode())
        assert fleet.by(await fleet.ask(Request(HOST))) is fleet.own(HOST)
        assert len(fleet.own(HOST).heard) == 1
        clients[0].sendall(b"body")
        await eventually_async(lambda: len(fleet.own(HOST).heard) == 2)
        assert fleet.own(HOST).heard[1].body == b"body"
    finally:
        for client in clients:
            client.close()


async def test_a_slow_reader_of_a_large_reply_does_not_fill_the_disk(fleet: Fleet) -> None:
    backend, megabyte, sent = fleet.own(HOST), bytes(2**20), 0

    async def send_all(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(200):
            await response.write(megabyte)
            sent += 1
        return response

    backend.answer = send_all
    with socket.create_connection(("127.0.0.1", fleet.balancer.port)) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await eventually_async(lambda: sent > 64)
        # 64 lie in the file, some more in the kernel's buffers.
        with pytest.raises(TookTooLong):
            await eventually_async(lambda: sent > 120, seconds=3)


async def test_a_slow_reader_holds_no_connection_to_a_backend(fleet: Fleet) -> None:
    backend = fleet.own(HOST)
    large = bytes(20_000_000)
    done = asyncio.Event()

    async def send_all(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(large)
        await response.write_eof()
        done.set()
        return response

    backend.answer = send_all
    with socket.create_connection(("127.0.0.1", fleet.balancer.port)) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)


async def test_a_body_that_a_backend_does_not_read_is_given_up(folder: Path) -> None:
    """Its kernel takes what fits into its buffers, as that of a machine whose nginx hangs."""
    quick = {"proxy_send_timeout 30s": "proxy_send_timeout 1s"}
    async with running(folder, [Frozen("127.0.0.11")], quick) as fleet:
        fleet.balancer.expect("upstream timed out .* while sending request to upstream")
        request = Request(HOST, method="POST", body=bytes(30_000_000))
        assert (await fleet.ask(request)).status == 504
