"""Forwards requests of a browser to control.sock, where they have the rights of this process."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from emperor.cli.client import cause_of
from emperor.cli.failure import Failed, Unreachable
from emperor.model.console_policy import HOME, BrowserRequest, Handling, Refused

# Headers of a request that mean something to the console. The cookie of this proxy, a password for
# nginx, and what a browser claims about its user are none of them.
PASSED_ON = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Cache-Control",
    "Content-Type",
    "Host",
    "If-Modified-Since",
    "If-None-Match",
    "Last-Event-ID",
    "Origin",
    "Referer",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "User-Agent",
)
# Headers about a connection, which end with it (RFC 9110, section 7.6.1), and those that this
# server writes itself.
OF_A_CONNECTION = frozenset({
    "connection", "date", "keep-alive", "proxy-authenticate", "proxy-connection", "server", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
USER = "X-Forwarded-User"
# The forms of the console are short.
_LONGEST_BODY = 64 * 1024
# A page with 10,000 vassals takes less than a second. The console answers an order within two.
_ANSWER_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_PERHAPS = (
    "Whether the order was carried out, the page of the vassal tells; go back, and load it.\n"
)
_TOO_MANY = (
    "Your user has too many pages of the console open, or all users together have.\n"
    "Close some, and load this one again.\n"
)
_AWAY = "The page is tried again every two seconds.\n"


class RequestPolicy(Protocol):
    """Decides what is done with a request. `tells_user`: requests name their true user."""

    tells_user: bool

    def judge(self, request: BrowserRequest) -> Handling | Refused:
        """What becomes of a request."""


class Proxy:
    """Handles all requests that `policy` allows, by connections to `control_socket`. A browser that
    enters gets the cookie `name` with the value `session`. `on_request` is called when a request
    begins and when it ends, with `running` of them at the moment."""

    def __init__(
        self, policy: RequestPolicy, control_socket: Path, name: str = "", session: str = ""
    ) -> None:
        self._policy = policy
        self._socket = control_socket
        self._name = name
        self._session = session
        self.running = 0
        self.on_request: Callable[[], None] = lambda: None

    def application(self) -> web.Application:
        """The application that forwards requests."""
        app = web.Application(client_max_size=_LONGEST_BODY)
        # A path may have a line break, %0A.
        app.router.add_route("*", "/{path:(?s:.*)}", self._handle)
        # Some answers are aiohttp's own, as to a body that is too long.
        app.on_response_prepare.append(_make_safe)
        return app

    async def check(self) -> None:
        """Raise Unreachable if the daemon does not answer, and Failed if it has no console."""
        try:
            async with (
                asyncio.timeout(_ANSWER_SECONDS),
                self._client() as client,
                client.get(f"http://emperord{HOME}", allow_redirects=False) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            where = f"cannot reach emperord at {self._socket}"
            raise Unreachable(f"{where}: {_cause(error)}") from error
        if status == HTTPStatus.NOT_FOUND:
            raise Failed(
                "the emperord that runs has no console: it is older than this emperorctl; run"
                " `emperorctl upgrade`"
            )

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        with self._counted():
            match self._policy.judge(self._browser_request(request)):
                case Refused(status, why):
                    return _text(status, f"{why}\n")
                case Handling.HOME:
                    return _home()
                case Handling.ENTER:
                    answer = _home()
                    answer.set_cookie(self._name, self._session, httponly=True, samesite="Strict")
                    return answer
                case Handling.FORWARD:
                    return await self._forward(request)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.running += 1
        self.on_request()
        try:
            yield
        finally:
            self.running -= 1
            self.on_request()

    def _browser_request(self, request: web.Request) -> BrowserRequest:
        headers = request.headers
        return BrowserRequest(
            request.method,
            request.rel_url.raw_path,
            headers.get("Host", ""),
            headers.get("Origin", ""),
            headers.get("Sec-Fetch-Site", ""),
            headers.get("Sec-Fetch-Dest", ""),
            request.cookies.get(self._name, ""),
            request.query.get("token", ""),
            headers.get(USER, ""),
        )

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        """Ask the daemon, and pass its answer on as it comes."""
        is_order = request.method == "POST"
        async with self._client() as client:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    answer = await client.request(
                        request.method,
                        URL(f"http://emperord{request.rel_url.raw_path_qs}", encoded=True),
                        headers=self._passed_on(request),
                        data=await request.read() if is_order else None,
                        allow_redirects=False,
                    )
            except web.RequestPayloadError:
                return _text(400, "The form does not have the encoding that its header names.\n")
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                return _away(error, is_order)
            async with answer:
                if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                    return _text(answer.status, _TOO_MANY)
                return await _pass(answer, request)

    def _passed_on(self, request: web.Request) -> CIMultiDict[str]:
        headers = request.headers
        names = (*PASSED_ON, USER) if self._policy.tells_user else PASSED_ON
        return CIMultiDict((name, headers[name]) for name in names if name in headers)

    def _client(self) -> aiohttp.ClientSession:
        """A client for one request: a connection that is kept would be lost when the daemon
        restarts, and an order on it might have been carried out or not."""
        return aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self._socket), force_close=True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )


async def _pass(answer: aiohttp.ClientResponse, request: web.Request) -> web.StreamResponse:
    dropped = OF_A_CONNECTION | {
        name.strip().lower() for name in answer.headers.get("Connection", "").split(",")
    }
    headers = CIMultiDict(
        (name, value) for name, value in answer.headers.items() if name.lower() not in dropped
    )
    passed = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    await passed.prepare(request)
    try:
        if request.method != "HEAD":
            async for piece in answer.content.iter_any():
                await passed.write(piece)
    except aiohttp.ClientError:
        # The daemon has ended within the answer. So does the connection to the browser.
        if request.transport:
            request.transport.abort()
        return passed
    await passed.write_eof()
    return passed


def _cause(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return cause_of(error.os_error)
    if isinstance(error, TimeoutError):
        return f"no answer within {_ANSWER_SECONDS:.0f} s"
    return "it closed the connection before it had answered"


def _away(error: Exception, is_order: bool) -> web.Response:
    status = 504 if isinstance(error, TimeoutError) else 502
    why = f"emperord does not answer: {_cause(error)}.\n"
    if is_order:
        return _text(status, why + _PERHAPS)
    answer = _text(status, why + _AWAY)
    answer.headers["Refresh"] = "2"
    return answer


async def _make_safe(_request: web.Request, answer: web.StreamResponse) -> None:
    """Give an answer the headers of a page of the console, unless it has its own."""
    for name, value in _SAFE.items():
        answer.headers.setdefault(name, value)


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)


def _home() -> web.Response:
    """A redirect to the first page, without the query: the token is no part of the address that the
    browser shows and keeps."""
    return web.Response(status=303, headers={"Location": HOME})


_SAFE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
