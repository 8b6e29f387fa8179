"""`emperorctl console` forwards the requests of one browser, and of nobody else."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from emperor.cli.console_proxy import Proxy
from emperor.cli.web_console import open_in_browser, users
from emperor.model.console_policy import NginxPolicy
from tests.cli.program import ENVIRONMENT, command, finished
from tests.eventually import PATIENCE_SECONDS


class Daemon:
    """Answers like the console of a daemon, and keeps what it was asked."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.asked: list[tuple[str, str]] = []
        self.headers: dict[str, str] = {}
        self.goes_on = asyncio.Event()
        self.has_ended = asyncio.Event()
        self.application = web.Application()
        self.application.router.add_get("/console/", self._page)
        self.application.router.add_post("/console/order", self._order)
        self.application.router.add_get("/console/events", self._events)
        self.application.router.add_route("*", "/console/hangs", self._hang)
        self.application.router.add_get("/console/full", self._refuse)
        self._runner: web.AppRunner | None = None

    async def begin(self) -> None:
        self._runner = web.AppRunner(
            self.application, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.run_dir / "control.sock")).start()

    async def end(self) -> None:
        if self._runner:
            await self._runner.cleanup()
        (self.run_dir / "control.sock").unlink(missing_ok=True)

    async def _page(self, request: web.Request) -> web.Response:
        self._note(request)
        headers = {"Content-Security-Policy": "default-src 'self'", "Keep-Alive": "timeout=75"}
        return web.Response(text="<h1>Console</h1>", content_type="text/html", headers=headers)

    async def _order(self, request: web.Request) -> web.Response:
        self._note(request)
        what = str((await request.post())["what"])
        raise web.HTTPSeeOther(f"/console/?did={what}")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await answer.prepare(request)
            await answer.write(b"data: 1\n\n")
            await self.goes_on.wait()
            await answer.write(b"data: 2\n\n")
        finally:
            self.has_ended.set()
        return answer

    async def _hang(self, _request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def _refuse(self, _request: web.Request) -> web.Response:
        return web.Response(status=429, text="{}", content_type="application/problem+json")

    def _note(self, request: web.Request) -> None:
        self.asked.append((request.method, request.rel_url.raw_path_qs))
        self.headers = dict(request.headers)


@dataclass(slots=True)
class Shown:
    """A console that runs: its link, and a browser that has followed it."""

    process: "subprocess.Popen[str]"
    link: str
    browser: aiohttp.ClientSession

    @property
    def origin(self) -> str:
        url = urlsplit(self.link)
        return f"{url.scheme}://{url.netloc}"

    async def get(self, path: str, **options: dict[str, str]) -> tuple[int, str]:
        async with self.browser.get(self.origin + path, **options) as answer:  # type: ignore[arg-type]
            return answer.status, await answer.text()

    async def as_uid(self, uid: int) -> str:
        """The answer to another user who has the cookie."""
        cookies = self.browser.cookie_jar.filter_cookies(URL(self.origin))
        cookie = "; ".join(f"{each.key}={each.value}" for each in cookies.values())
        curl = ("curl", "-s", "-b", cookie, f"{self.origin}/console/")
        program = await asyncio.create_subprocess_exec(
            "setpriv", f"--reuid={uid}", "--clear-groups", *curl, stdout=subprocess.PIPE
        )
        return (await program.communicate())[0].decode()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    daemon = Daemon(tmp_path)
    await daemon.begin()
    yield daemon
    await daemon.end()


def _started(run_dir: Path) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    arguments = command(run_dir, "console", "--no-browser")
    return subprocess.Popen(arguments, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture
async def shown(daemon: Daemon) -> AsyncIterator[Shown]:
    """A console whose link a browser has followed."""
    process = _started(daemon.run_dir)
    assert process.stdout
    assert process.stderr
    try:
        link = (await asyncio.to_thread(process.stdout.readline)).strip()
        assert link.startswith("http://127.0.0.1:"), process.stderr.read()
        assert "once. Ctrl-C ends" in await asyncio.to_thread(process.stdout.readline)
        jar = aiohttp.CookieJar(unsafe=True)  # also for addresses
        async with aiohttp.ClientSession(cookie_jar=jar) as browser:
            yield Shown(process, link, browser)
    finally:
        process.kill()
        process.communicate()


async def entered(shown: Shown) -> Shown:
    async with shown.browser.get(shown.link, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/console/")
        assert {"HttpOnly", "SameSite=Strict"} <= {*answer.headers["Set-Cookie"].split("; ")}
    return shown


async def test_the_browser_with_the_link_sees_the_console(daemon: Daemon, shown: Shown) -> None:
    assert (await shown.get("/console/"))[0] == 403
    await entered(shown)
    claims = {"X-Forwarded-User": "root", "Authorization": "Basic eDp5"}
    async with shown.browser.get(f"{shown.origin}/console/?q=a%25b", headers=claims) as answer:
        assert await answer.text() == "<h1>Console</h1>"
        assert answer.headers["Content-Security-Policy"] == "default-src 'self'"
        assert "Keep-Alive" not in answer.headers
    assert daemon.asked[-1] == ("GET", "/console/?q=a%25b")
    assert not {"Cookie", "X-Forwarded-User", "Authorization"} & daemon.headers.keys()
    form, origin = {"what": "restart"}, {"Origin": shown.origin}
    order = f"{shown.origin}/console/order"
    async with shown.browser.post(
        order, data=form, headers=origin, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/console/?did=restart")
    async with shown.browser.post(order, data=form, headers={"Origin": "http://evil"}) as answer:
        assert answer.status == 403
    async with shown.browser.post(order, data={"what": "x" * 2**17}) as answer:
        assert answer.status == 413
    assert [method for method, _ in daemon.asked].count("POST") == 1


async def test_nobody_else_sees_the_console(daemon: Daemon, shown: Shown) -> None:
    await entered(shown)
    daemon.asked.clear()
    async with aiohttp.ClientSession() as another, another.get(shown.link) as answer:
        assert answer.status == 403
        assert "This link was used before" in await answer.text()
        assert answer.headers["Cache-Control"] == "no-store"
    assert await shown.as_uid(1234) == "", "its connection is closed"
    rebound = await shown.get("/console/", headers={"Host": "evil.example"})
    assert rebound == (421, "emperorctl console answers for 127.0.0.1 and localhost alone.\n")
    assert (await shown.get("/v1/status"))[0] == 404
    assert daemon.asked == []
    assert await shown.as_uid(0) == "<h1>Console</h1>"


_FLOOD = """
import socket, sys
for _ in range(200):
    one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    one.settimeout(5)
    try:
        assert one.recv(1) == b""
    except ConnectionResetError:
        pass
"""


async def test_connections_of_other_users_hold_nothing(shown: Shown) -> None:
    await entered(shown)
    resource.prlimit(shown.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    arguments = ("--reuid=1234", "--clear-groups", "/usr/bin/python3", "-c", _FLOOD)
    port = str(urlsplit(shown.origin).port)
    flood = await asyncio.create_subprocess_exec("setpriv", *arguments, port)
    assert await flood.wait() == 0
    assert await shown.get("/console/") == (200, "<h1>Console</h1>")
    shown.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(shown.process.communicate) == ("", "")


async def test_what_the_server_answers_by_itself_is_safe(shown: Shown) -> None:
    await entered(shown)
    order = f"{shown.origin}/console/order"
    form = {"what": "x" * 2**17}
    asked = (
        shown.browser.get(URL(f"{shown.origin}/console/%0A", encoded=True)),
        shown.browser.request("CONNECT", shown.origin),
        shown.browser.post(order, data=form, headers={"Origin": shown.origin}),
        shown.browser.get(f"{shown.origin}/console/", headers={"Expect": "nothing"}),
    )
    for question, status in zip(asked, (404, 404, 413, 417), strict=True):
        async with question as answer:
            assert answer.status == status
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"], status
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_daemon_that_hangs_is_not_waited_for_longer_than_that(
    daemon: Daemon, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.cli.console_proxy._ANSWER_SECONDS", 0.2)
    door = web.AppRunner(Proxy(NginxPolicy(), daemon.run_dir / "control.sock").application())
    await door.setup()
    site = web.TCPSite(door, "127.0.0.1", 0)
    await site.start()
    try:
        origin = f"http://127.0.0.1:{door.addresses[0][1]}"
        user = {"X-Forwarded-User": "ada"}
        for method, words in (("GET", "tried again every two"), ("POST", "was carried out")):
            question = shown.browser.request(method, f"{origin}/console/hangs", headers=user)
            async with question as answer:
                assert (answer.status, "Refresh" in answer.headers) == (504, method == "GET")
                assert words in await answer.text()
        async with shown.browser.get(f"{origin}/console/full", headers=user) as answer:
            assert (answer.status, answer.content_type) == (429, "text/plain")
            assert "too many pages" in await answer.text()
    finally:
        await door.cleanup()


async def test_what_is_no_http_fills_no_terminal(shown: Shown) -> None:
    await entered(shown)
    url = urlsplit(shown.origin)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(b"GET /console/\xff HTTP/1.1\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    body, headers = b"what=restart", {"Content-Encoding": "gzip"}
    order = shown.browser.post(f"{shown.origin}/console/order", data=body, headers=headers)
    async with order as answer:
        assert answer.status == 400
    shown.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(shown.process.communicate) == ("", "")


async def test_a_stream_arrives_as_it_is_written(daemon: Daemon, shown: Shown) -> None:
    await entered(shown)
    async with shown.browser.get(f"{shown.origin}/console/events") as answer:
        assert await answer.content.readuntil(b"\n\n") == b"data: 1\n\n"
        assert not daemon.goes_on.is_set()
        daemon.goes_on.set()
        assert await answer.content.read() == b"data: 2\n\n"
    daemon.goes_on.clear()
    daemon.has_ended.clear()
    async with shown.browser.get(f"{shown.origin}/console/events") as answer:
        await answer.content.readuntil(b"\n\n")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await daemon.has_ended.wait()


async def test_a_daemon_that_is_away_is_waited_for(daemon: Daemon, shown: Shown) -> None:
    await entered(shown)
    await daemon.end()
    async with shown.browser.get(f"{shown.origin}/console/") as answer:
        assert (answer.status, answer.headers["Refresh"]) == (502, "2")
        assert "emperord does not answer: no such file (is it running?" in await answer.text()
    await daemon.begin()
    assert await shown.get("/console/") == (200, "<h1>Console</h1>")


async def test_ctrl_c_ends_the_console_quietly(daemon: Daemon, shown: Shown) -> None:
    await entered(shown)
    async with shown.browser.get(f"{shown.origin}/console/events") as answer:
        await answer.content.readuntil(b"\n\n")
        shown.process.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(shown.process.communicate)
    assert (shown.process.returncode, out, err) == (0, "", "")


async def test_what_keeps_a_console_from_starting_is_told(daemon: Daemon, tmp_path: Path) -> None:
    async def run(*arguments: str, where: Path = daemon.run_dir) -> tuple[int, str]:
        result = await asyncio.to_thread(finished, where, "console", *arguments)
        assert result.stdout == ""
        return result.returncode, result.stderr

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, err = await run("--port", str(port))
        assert (status, f"127.0.0.1:{port}: another program has the port" in err) == (1, True)
    status, err = await run(where=tmp_path / "nowhere")
    assert (status, "no such file (is it running?" in err) == (4, True)
    status, err = await run("--for-nginx")
    assert (status, "start emperord-console.socket" in err) == (1, True)
    assert (await run("--port", "70000"))[0] == 2
    await daemon.end()
    daemon.application = web.Application()
    await daemon.begin()
    status, err = await run()
    assert (status, "run `emperorctl upgrade`" in err) == (1, True)


def test_who_became_root_by_sudo_may_use_a_browser_of_its_own() -> None:
    assert {0, os.geteuid(), 1000} <= users({"SUDO_UID": "1000"})
    assert 2**32 - 1 not in users({"SUDO_UID": "-1"})


def test_a_desktop_shows_the_link_and_root_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = tmp_path / "opened"
    program = tmp_path / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" >{opened}.new; mv {opened}.new {opened}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert open_in_browser("http://127.0.0.1:1/", {}) is None
    process = open_in_browser("http://127.0.0.1:1/", {"DISPLAY": ":0"})
    assert process
    assert process.wait() == 0
    assert opened.read_text() == "http://127.0.0.1:1/\n"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert open_in_browser("http://127.0.0.1:1/", {"DISPLAY": ":0"}) is None
