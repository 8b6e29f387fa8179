"""A host without a folder of sockets, which may be served nevertheless; and how many requests of
one client are held."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor as Threads
from pathlib import Path

import pytest
from aiohttp import web

from tests.eventually import eventually_async
from tests.http_client import Reply, Request, ask
from tests.nginx.conftest import App
from tests.nginx.stub_daemon import Asked, StubDaemon, run_it
from tests.nginx_server import Nginx

GUEST = "guest.example"
LARGE = bytes(range(250)) * 20_000
UPLOADS: dict[str, bytes | tuple[bytes, ...]] = {
    "sized": LARGE,
    "chunked": (LARGE, b"end"),
    "small": b"small",
}
# nginx/emperord/held.conf.
SHARE = 100


async def post(nginx: Nginx, body: bytes | tuple[bytes, ...], host: str = GUEST) -> Reply:
    return await asyncio.to_thread(ask, nginx.port, Request(host, "/a?b", "POST", body=body))


@pytest.fixture
async def wildcard(folder: Path, app: App, daemon: StubDaemon) -> AsyncIterator[StubDaemon]:
    """A daemon that links the host to the folder of app.example when it is asked."""

    async def link(asked: Asked) -> web.Response:
        app.open_door()
        place = folder / "sockets" / asked.domain
        if not place.exists():
            place.symlink_to("app.example")
        return run_it()

    daemon.answer = link
    yield daemon


@pytest.mark.parametrize("body", UPLOADS.values(), ids=UPLOADS)
async def test_a_body_for_a_new_host_reaches_its_app(
    nginx: Nginx, app: App, wildcard: StubDaemon, body: bytes | tuple[bytes, ...]
) -> None:
    whole = body if isinstance(body, bytes) else b"".join(body)
    for _ in ("cold", "warm"):
        reply = await post(nginx, body)
        assert (reply.status, len(wildcard.asked)) == (200, 1)
        seen = json.loads(reply.text)
        assert seen["sha256"] == hashlib.sha256(whole).hexdigest()
        assert seen["environ"]["REQUEST_URI"] == "/a?b"
        assert seen["environ"]["CONTENT_LENGTH"] == str(len(whole))
    [asked] = wildcard.asked
    told = {name: asked.headers[f"x-{name}"] for name in ("domain", "try", "original-method")}
    assert told == {"domain": GUEST, "try": "1", "original-method": "POST"}
    assert asked.body == b""
    assert app.runs == ["POST /a"] * 2


async def test_the_page_for_a_large_body_is_that_of_the_daemon(
    nginx: Nginx, daemon: StubDaemon
) -> None:
    async def closed(asked: Asked) -> web.Response:
        return web.Response(status=503, text="closed", headers={"Retry-After": "30"})

    daemon.answer = closed
    reply = await post(nginx, LARGE)
    assert (reply.status, reply.text, reply.headers["retry-after"]) == (503, "closed", "30")


async def test_a_request_whose_body_is_gone_does_not_run(
    nginx: Nginx, app: App, daemon: StubDaemon
) -> None:
    async def change_of_mind(asked: Asked) -> web.Response:
        app.open_door()
        return web.Response(status=404) if len(daemon.asked) == 1 else run_it()

    daemon.answer = change_of_mind
    reply = await post(nginx, LARGE)
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert app.runs == []


async def test_a_large_body_without_the_daemon_is_refused(nginx: Nginx) -> None:
    nginx.expect(r"activate.sock failed \(2: No such file or directory\)")
    reply = await post(nginx, LARGE)
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


async def test_a_password_comes_before_a_new_host(
    folder: Path, nginx: Nginx, wildcard: StubDaemon
) -> None:
    site = nginx.conf.parent / "emperord" / "site.conf"
    passwords = folder / "passwords"
    passwords.touch()
    site.write_text(f"{site.read_text()}auth_basic x;\nauth_basic_user_file {passwords};\n")
    before = nginx.workers()
    nginx.reload()
    await eventually_async(lambda: not before & nginx.workers(), what="the new workers serve")
    for body in UPLOADS.values():
        assert (await post(nginx, body)).status == 401
    assert wildcard.asked == []


async def test_a_network_shares_the_share_of_a_client(nginx: Nginx, daemon: StubDaemon) -> None:
    gate = asyncio.Event()

    async def hold(_asked: Asked) -> web.Response:
        await gate.wait()
        return web.Response(status=404)

    async def visit(address: str) -> int:
        headers = {"X-Forwarded-For": address} if address else {}
        request = Request("cold.example", headers=headers)
        return (await asyncio.to_thread(ask, nginx.port, request)).status

    daemon.answer = hold
    asyncio.get_running_loop().set_default_executor(Threads(SHARE + 30))
    crowd = [asyncio.create_task(visit(f"2001:db8:0:1::{n:x}")) for n in range(SHARE)]
    await eventually_async(lambda: len(daemon.asked) == SHARE)
    assert await visit("2001:db8:0:1:ffff::") == 429
    others = ["2001:db8:0:2::1", "192.0.2.7", *[""] * 20]
    crowd += [asyncio.create_task(visit(address)) for address in others]
    await eventually_async(lambda: len(daemon.asked) == SHARE + len(others))
    gate.set()
    assert Counter(await asyncio.gather(*crowd)) == {404: SHARE + len(others)}
