"""The console: pages for operators, for a browser that reaches control.sock through a proxy.

They show and order what the control API does, with the same rights. All of it but this table is
imported when somebody first asks: a daemon without a reader needs no memory for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Protocol

from emperor.model.authority import Caller
from emperor.model.problem import ProblemCode
from emperor.web.aiohttp_server import web
from emperor.web.control import ORDERS, Control
from emperor.web.problems import ApiError

ROOT = "/console/"
_VASSAL = ROOT + "vassals/{domain:[^/]*}"
_ORDER = f"{_VASSAL}/{{order:{'|'.join(ORDERS)}}}"
_DRAIN = ROOT + "{order:drain|undrain}"
# Method, path, and the handler of Site. The last one is for all other paths.
ROUTES = (
    ("GET", ROOT, "overview"),
    ("GET", ROOT + "refused", "refused"),
    ("GET", ROOT + "vassals", "vassals"),
    ("GET", _VASSAL, "vassal"),
    ("GET", _VASSAL + "/log", "log"),
    ("GET", _ORDER, "ask"),
    ("POST", _ORDER, "order"),
    ("GET", ROOT + "fleet", "fleet"),
    ("GET", _DRAIN, "ask_drain"),
    ("POST", _DRAIN, "drain"),
    ("GET", ROOT + "events", "events"),
    ("GET", ROOT + "static/{name:[^/]*}", "static"),
    ("*", ROOT + "{rest:.*}", "missing"),
)
# Their answers may have no end.
_ENDLESS = frozenset({"events"})
# No page has a script or a style of its own, and nothing comes from elsewhere.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src"
        " 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Callers(Protocol):
    """Tells who asks."""

    def caller(self, request: web.Request) -> Caller:
        """Who has connected. Raises ConnectionError where the client has left."""

    async def turn(self, caller: Caller) -> None:
        """Wait until it is the turn of this caller."""


class Pages(Protocol):
    """Answers every request for the console."""

    async def answer(self, name: str, request: web.Request, caller: Caller) -> web.StreamResponse:
        """The answer of the handler of that name."""


def add_console(app: web.Application, control: Control, callers: Callers) -> None:
    """Serve the console in an application."""
    pages = _Pages(control)

    def handler(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            caller = callers.caller(request)
            await callers.turn(caller)
            return await (await pages.get()).answer(name, request, caller)

        return handle

    for method, pattern, name in ROUTES:
        app.router.add_route(method, pattern, handler(name))
        if method == "GET" and name not in _ENDLESS:
            app.router.add_route("HEAD", pattern, handler(name))
    app.router.add_route("GET", ROOT.rstrip("/"), _to_root)
    app.on_response_prepare.append(_add_headers)


class _Pages:
    """The pages, once they are imported."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._pages: Pages | None = None

    async def get(self) -> Pages:
        """The pages, made in a thread the first time."""
        if self._pages is None:
            made = await asyncio.to_thread(self._make)
            self._pages = self._pages or made
        return self._pages

    def _make(self) -> Pages:
        try:
            pages: Pages = import_module("emperor.web.console.site").Site(self._control)
        except Exception as error:
            # The modules of a newer version, on the disk, need not fit those that were imported.
            raise ApiError(
                ProblemCode.INTERNAL_ERROR,
                f"cannot show the console: {type(error).__name__}: {error}; if emperord was"
                " installed anew since it started, run `emperorctl upgrade`",
            ) from error
        return pages


async def _to_root(_request: web.Request) -> web.StreamResponse:
    # Relative, since a proxy may serve it below another path.
    return web.Response(status=308, headers={"Location": "console/"})


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    if request.path.startswith(ROOT.rstrip("/")):
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
