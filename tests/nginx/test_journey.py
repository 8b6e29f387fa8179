"""A request to an app, awake and asleep: it arrives the same, and once."""

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from tests.eventually import eventually, eventually_async
from tests.http_client import Reply, Request, ask, send
from tests.nginx.conftest import App
from tests.nginx.stub_daemon import Asked, StubDaemon, run_it
from tests.nginx_server import Nginx

HOST = "app.example"
# These differ between any two runs of a request.
OF_THE_CONNECTION = {"REMOTE_PORT", "HTTP_X_REQUEST_ID", "uwsgi.core", "uwsgi.node"}

REQUESTS = {
    "GET with a query": Request(HOST, "/a%20b/%2F%25/%C3%A9//c?q=%0d%0a&r=%2E%2e"),
    "HEAD": Request(HOST, method="HEAD"),
    "POST of 0 bytes": Request(HOST, method="POST", body=b""),
    "POST of 7 bytes": Request(HOST, method="POST", body=b"7 bytes"),
    "POST of 20 KB": Request(HOST, method="POST", body=bytes(range(250)) * 80),
    "POST of 5 MB": Request(HOST, method="POST", body=bytes(range(250)) * 20_000),
    "chunked POST": Request(HOST, method="POST", body=(b"a" * 9_000, b"b", b"c" * 70_000)),
    "PUT": Request(HOST, method="PUT", body=b"put"),
    "PATCH": Request(HOST, method="PATCH", body=b"patch"),
    "DELETE": Request(HOST, method="DELETE"),
    "OPTIONS": Request(HOST, method="OPTIONS"),
    "PURGE": Request(HOST, method="PURGE"),
    "Expect": Request(HOST, method="POST", headers={"Expect": "100-continue"}, body=b"x" * 9_000),
    "a URI for a proxy": Request(HOST, "http://app.example/path?query"),
    "32 KB of headers": Request(HOST, headers={f"X-{n}": "x" * 8_183 for n in range(4)}),
    "a query of 8 KB": Request(HOST, f"/?{'q' * 8_170}"),
    "990 headers": Request(HOST, headers={f"X-{n}": "value" for n in range(990)}),
}


async def get(nginx: Nginx, request: Request) -> Reply:
    return await asyncio.to_thread(ask, nginx.port, request)


def seen(reply: Reply) -> dict[str, Any]:
    """What reached the app, as far as it belongs to the request."""
    answer: dict[str, Any] = json.loads(reply.text)
    for name in OF_THE_CONNECTION:
        answer["environ"].pop(name, None)
    return answer


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_a_cold_app_sees_the_same_request_as_a_warm_one(
    nginx: Nginx, app: App, daemon: StubDaemon, request_: Request
) -> None:
    cold = await get(nginx, request_)
    warm = await get(nginx, request_)
    assert (cold.status, warm.status) == (200, 200)
    assert len(daemon.asked) == 1
    assert len(app.runs) == 2
    assert app.runs[0] == app.runs[1]
    if request_.method != "HEAD":
        assert seen(cold) == seen(warm)
        pieces = request_.body if isinstance(request_.body, tuple) else (request_.body or b"",)
        assert seen(cold)["sha256"] == hashlib.sha256(b"".join(pieces)).hexdigest()


async def test_an_app_gets_no_header_of_the_connection(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    headers = {"TE": "trailers", "Trailer": "X", "Keep-Alive": "5", "Expect": "100-continue"}
    headers |= {"X-Emperord-Balancer": "1"}
    env = seen(await get(nginx, Request(HOST, "/", "POST", headers, (b"a" * 9_000, b"b"))))
    told = {f"HTTP_{name.upper().replace('-', '_')}" for name in headers}
    assert not env["environ"].keys() & (told | {"HTTP_TRANSFER_ENCODING"})
    assert env["environ"]["CONTENT_LENGTH"] == "9001"


async def test_a_held_request_waits_for_the_daemons_answer(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    accepts = asyncio.Event()

    async def hold(asked: Asked) -> web.Response:
        await accepts.wait()
        return await daemon.open_and_run(asked)

    daemon.answer = hold
    async with asyncio.TaskGroup() as group:
        replies = [group.create_task(get(nginx, Request(HOST))) for _ in range(3)]
        await eventually_async(lambda: len(daemon.asked) == 3)
        assert app.runs == []
        accepts.set()
    assert [reply.result().status for reply in replies] == [200, 200, 200]
    assert len(app.runs) == 3


async def test_the_daemon_is_told_exactly_what_the_contract_says(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    headers = {
        "X-Request-Id": "balancer-17",
        "Cookie": "secret",
        "X-Domain": "other.example",
        "X-Original-Path": "/other",
        "User-Agent": "curl/8.0 (of a visitor)",
    }
    await get(
        nginx, Request("APP.Example:8080", "/a/%2e%0d%0a.c?token=1", "POST", headers, b"secret")
    )
    [asked] = daemon.asked
    assert asked.request_line == "GET /"
    assert asked.body == b""
    assert asked.headers == {
        "host": "app.example",
        "x-domain": "app.example",
        "x-navigate": "0",
        "x-html": "0",
        "x-try": "1",
        "x-may-run": "1",
        "x-head-bytes": "240",
        "x-original-method": "POST",
        "x-original-path": "/a/%2e%0d%0a.c",
        "x-original-agent": "curl/8.0 (of a visitor)",
        "x-request-id": "balancer-17",
        "x-forwarded-for": "127.0.0.1",
        "connection": "close",
    }


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/?secret=1", "/"),
        ("/a/../b//c", "/a/../b//c"),
        ("/é/b", "/"),
        ("/%C3%A9", "/%C3%A9"),
        ("http://app.example/path?query", "/path"),
        ("/" + "a" * 5_000, "/" + "a" * 199),
    ],
)
async def test_the_daemon_learns_the_plain_path_without_the_query(
    nginx: Nginx, app: App, daemon: StubDaemon, target: str, path: str
) -> None:
    raw = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    assert (await asyncio.to_thread(send, nginx.port, raw.encode())).status == 200
    assert daemon.asked[0].headers["x-original-path"] == path


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (b"curl/8.0 (x)", "curl/8.0 (x)"),
        (b"curl\x01\x1b[2J", "curl"),
        (b"caf\xe9 \xff", "caf"),
        (b"\x7fcurl", None),
        (b"", None),
        (b"a" * 5_000, "a" * 200),
    ],
)
async def test_the_daemon_learns_the_plain_part_of_the_user_agent(
    nginx: Nginx, app: App, daemon: StubDaemon, agent: bytes, expected: str | None
) -> None:
    head = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nUser-Agent: "
    raw = head.encode() + agent + b"\r\n\r\n"
    assert (await asyncio.to_thread(send, nginx.port, raw)).status == 200
    assert daemon.asked[0].headers.get("x-original-agent") == expected


@pytest.mark.parametrize(
    ("method", "sent", "told"),
    [
        ("GET", "Sec-Fetch-Mode: navigate", ("1", "1")),
        ("GET", "Sec-Fetch-Mode: cors; Accept: text/html", ("0", "0")),
        ("GET", "Accept: text/html,application/xhtml+xml", ("0", "1")),
        ("GET", "Accept: */*", ("0", "0")),
        ("GET", "Accept: application/json, text/html", ("0", "0")),
        ("GET", "Cookie: none", ("0", "0")),
        ("HEAD", "Accept: text/html", ("0", "0")),
        ("POST", "Sec-Fetch-Mode: navigate; Accept: text/html", ("0", "0")),
    ],
)
async def test_the_daemon_learns_whether_a_browser_navigates(
    nginx: Nginx, unknown: StubDaemon, method: str, sent: str, told: tuple[str, str]
) -> None:
    headers = dict(header.split(": ") for header in sent.split("; "))
    await get(nginx, Request(HOST, "/", method, headers))
    [asked] = unknown.asked
    assert (asked.headers["x-navigate"], asked.headers["x-html"]) == told


async def test_a_refusal_of_the_daemon_reaches_the_client_as_it_is(
    nginx: Nginx, daemon: StubDaemon
) -> None:
    async def refuse(asked: Asked) -> web.Response:
        return web.Response(
            status=503, text="<p>soon", content_type="text/html", headers={"Retry-After": "2"}
        )

    daemon.answer = refuse
    reply = await get(nginx, Request("unknown.example"))
    assert (reply.status, reply.text) == (503, "<p>soon")
    assert reply.headers["retry-after"] == "2"
    assert reply.headers["content-type"] == "text/html; charset=utf-8"


async def test_headers_of_the_daemon_do_not_leak_into_the_apps_reply(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    async def wordy(asked: Asked) -> web.Response:
        app.open_door()
        return run_it({"Content-Type": "text/leak", "X-Leak": "1", "Retry-After": "1"})

    daemon.answer = wordy
    cold = await get(nginx, Request(HOST))
    warm = await get(nginx, Request(HOST))
    assert cold.headers.keys() == warm.headers.keys()
    assert cold.headers["content-type"] == "application/json"
    assert cold.headers["server"] == "nginx"


async def test_without_the_daemon_only_a_warm_app_answers(nginx: Nginx, app: App) -> None:
    nginx.expect(r"activate.sock failed \(2: No such file or directory\)")
    cold = await get(nginx, Request(HOST, method="POST", body=b"x"))
    assert (cold.status, cold.headers["retry-after"]) == (503, "5")
    assert "cannot be started right now" in cold.text
    app.open_door()
    assert (await get(nginx, Request(HOST))).status == 200
    assert len(app.runs) == 1


async def test_a_daemon_that_says_run_it_in_vain_is_asked_three_times(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    async def in_vain(asked: Asked) -> web.Response:
        return run_it()

    daemon.answer = in_vain
    reply = await get(nginx, Request(HOST, method="POST", body=b"x"))
    assert (reply.status, reply.text) == (503, "The application does not come up.\n")
    assert reply.headers["retry-after"] == "5"
    assert [asked.headers["x-try"] for asked in daemon.asked] == ["1", "11", "111"]
    assert app.runs == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_question_that_breaks_off_is_asked_again(
    nginx: Nginx, app: App, daemon: StubDaemon, method: str
) -> None:
    nginx.expect("upstream prematurely closed connection.*activate.sock")
    daemon.deaths = 3
    request = Request(HOST, method=method, body=b"x" if method == "POST" else b"")
    assert (await get(nginx, request)).status == 200
    assert [asked.headers["x-try"] for asked in daemon.asked] == ["1"] * 4
    assert len(app.runs) == 1


async def test_an_app_that_fell_asleep_is_woken_by_the_same_request(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    async def late(asked: Asked) -> web.Response:
        return run_it() if len(daemon.asked) == 1 else await daemon.open_and_run(asked)

    daemon.answer = late
    assert (await get(nginx, Request(HOST, method="POST", body=b"x"))).status == 200
    assert len(daemon.asked) == 2
    assert len(app.runs) == 1


async def test_the_access_log_tells_cold_from_warm(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    await get(nginx, Request(HOST, "/cold"))
    await get(nginx, Request(HOST, "/warm"))
    eventually(lambda: len(nginx.access_lines()) == 2)
    cold, warm = nginx.access_lines()
    assert ' app.example "GET /cold HTTP/1.1" 200 ' in cold
    assert " try=1 us=502 : 200 : 200 " in cold
    assert ' app.example "GET /warm HTTP/1.1" 200 ' in warm
    assert " try= us=200 " in warm


FORGED = "/headers?X-Emperord-Wake=7ms&X-Own=a&x-emperord-wake=8ms"


async def test_a_reply_says_how_long_its_request_was_held(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    folder, aside = app.socket.parent, app.socket.parent.with_name("aside")

    async def answer(asked: Asked) -> web.Response:
        if aside.exists():
            aside.rename(folder)
        app.socket.chmod(0o660)
        return run_it({"X-Emperord-Wake": "101ms"})

    daemon.answer = answer
    forged = Request(HOST, FORGED, headers={"X-Emperord-Wake": "9ms"})
    cold, warm = await get(nginx, forged), await get(nginx, forged)
    assert (cold.headers["x-emperord-wake"], cold.headers["x-own"]) == ("101ms", "a")
    assert "x-emperord-wake" not in warm.headers, "an app and a client cannot forge it"
    folder.rename(aside)
    upload = await get(nginx, replace(forged, method="POST", body=bytes(100_000)))
    assert (upload.status, upload.headers["x-emperord-wake"]) == (200, "101ms")
    named = await get(nginx, Request(HOST, f"{FORGED}&X-Accel-Redirect=@app"))
    assert named.headers.get("x-emperord-wake") == "101ms", "what emperord says counts"
