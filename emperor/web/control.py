"""The control API on control.sock: what emperorctl and other programs ask and order.

Whoever may open the socket may do all of this; its file mode is the only guard.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol

from aiohttp import web

from emperor.handover.upgrade import CannotUpgrade
from emperor.model.lifecycle import Event
from emperor.model.status import TransitionEvent, as_json
from emperor.supervisor.events import REMEMBERED, EventLog
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Result, Vassal
from emperor.web.drain import Drain
from emperor.web.metrics import exposition
from emperor.web.report import Reporter

_ORDERS = {
    "start": Event.START,
    "stop": Event.IDLE,
    "restart": Event.RESTART,
    "reload": Event.REVISED,
}
_UNREAD_EVENTS = 1000


class Refusal(Exception):
    """A request that gets an error answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Daemon(Protocol):
    """What can be ordered of all of it."""

    async def rescan(self) -> None:
        """Read the folder of inis again."""

    async def upgrade(self, before_exec: Callable[[], Awaitable[None]]) -> NoReturn:
        """Become the version that is installed now. `before_exec` is awaited when nothing but the
        exec is left to do. Raises CannotUpgrade."""


class Control:
    """The API's handlers."""

    def __init__(
        self,
        governor: Governor,
        reporter: Reporter,
        chronicle: EventLog,
        drain: Drain,
        daemon: Daemon,
    ) -> None:
        self._governor = governor
        self._reporter = reporter
        self._chronicle = chronicle
        self._drain = drain
        self._daemon = daemon
        self._streams: set[asyncio.Queue[TransitionEvent | None]] = set()

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[_errors])
        app.on_shutdown.append(self._end_streams)
        app.router.add_get("/v1/status", self.status)
        app.router.add_get("/v1/vassals/{domain}", self.vassal)
        app.router.add_post("/v1/vassals/{domain}/{order:start|stop|restart|reload}", self.order)
        app.router.add_get("/v1/events", self.events)
        app.router.add_post("/v1/reload", self.reload)
        app.router.add_post("/v1/upgrade", self.upgrade)
        app.router.add_post("/v1/drain", self.drain)
        app.router.add_post("/v1/undrain", self.undrain)
        app.router.add_get("/metrics", self.metrics)
        return app

    async def status(self, _request: web.Request) -> web.Response:
        """The whole report."""
        return _json(await self._reporter.report(self._drain.since))

    async def vassal(self, request: web.Request) -> web.Response:
        """One vassal in detail; the report has those that drain since their ini is gone, too."""
        vassal = self._governor.vassals.get(request.match_info["domain"]) or self._find(request)
        return _json(await self._reporter.detail(vassal))

    async def order(self, request: web.Request) -> web.Response:
        """Carry an order out, and answer when it is done or has failed."""
        vassal = self._find(request)
        name = request.match_info["order"]
        domain = vassal.spec.domain
        order = self._governor.order(vassal, _ORDERS[name], f"emperorctl {name}")
        outcome = await asyncio.wrap_future(order)
        if outcome.result is Result.FAILED:
            raise Refusal(502, "failed", f"cannot {name} {domain}: {outcome.why}")
        if outcome.result is Result.GONE:
            raise Refusal(404, "no-such-vassal", f"{domain} is no vassal any more: {outcome.why}")
        return _json(await self._reporter.detail(vassal))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Happenings as JSON lines: those that are remembered, with `?past=N` the last N of them,
        then each as it happens."""
        past = _past(request)
        queue: asyncio.Queue[TransitionEvent | None] = asyncio.Queue(_UNREAD_EVENTS)

        def read(happening: TransitionEvent) -> None:
            # A reader that does not keep up loses lines; it must not cost memory without end.
            if not queue.full():
                queue.put_nowait(happening)

        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with self._chronicle.reader(read):
            remembered = self._chronicle.recent()
            for happening in remembered[max(0, len(remembered) - past) :]:
                queue.put_nowait(happening)
            await response.prepare(request)
            self._streams.add(queue)
            try:
                while told := await queue.get():
                    # In ASCII: what an app wrote cannot steer a terminal that shows it as it is.
                    await response.write(json.dumps(as_json(told)).encode() + b"\n")
            finally:
                self._streams.discard(queue)
        return response

    async def _end_streams(self, _app: web.Application) -> None:
        for queue in self._streams:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def reload(self, _request: web.Request) -> web.Response:
        """Read the folder of inis again, now."""
        await self._daemon.rescan()
        return web.json_response({})

    async def upgrade(self, request: web.Request) -> web.Response:
        """Have the version that is installed now take the daemon's place. The answer is sent before
        the exec, which ends this process and all its connections."""
        answer = web.json_response({}, status=202)
        answer.force_close()

        async def tell() -> None:
            await answer.prepare(request)
            await answer.write_eof()

        try:
            await self._daemon.upgrade(tell)
        except CannotUpgrade as error:
            if not answer.prepared:
                message = f"cannot upgrade: {error}; all stays as it is"
                raise Refusal(409, "cannot-upgrade", message) from error
        return answer

    async def drain(self, _request: web.Request) -> web.Response:
        """Have load balancers sent elsewhere, and answer with what the daemon is then."""
        try:
            self._drain.begin(datetime.now(UTC))
        except OSError as error:
            raise Refusal(
                500, "failed", f"cannot drain: cannot write to run-dir: {error.strerror}"
            ) from error
        return _json(self._reporter.emperor(self._drain.since))

    async def undrain(self, _request: web.Request) -> web.Response:
        """Undo `drain`, and answer with what the daemon is then."""
        try:
            self._drain.end()
        except OSError as error:
            raise Refusal(
                500,
                "failed",
                f"cannot undrain: cannot remove its note from run-dir: {error.strerror}",
            ) from error
        return _json(self._reporter.emperor(self._drain.since))

    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus' text format."""
        body, content_type = exposition(await self._reporter.report(self._drain.since))
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _find(self, request: web.Request) -> Vassal:
        host = request.match_info["domain"]
        if vassal := self._governor.vassals.serving(host):
            return vassal
        if why := self._reporter.refusal(host):
            raise Refusal(409, "refused", why)
        if leaving := self._governor.vassals.get(host):
            why = leaving.last_stop.why if leaving.last_stop else "it is about to be gone"
            raise Refusal(404, "no-such-vassal", f"{host} is no vassal any more: {why}")
        raise Refusal(404, "no-such-vassal", f"there is no vassal {host}")


def _past(request: web.Request) -> int:
    text = request.query.get("past", str(REMEMBERED))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Refusal(400, "bad-request", f"cannot use past={text}: it must be a number")
    return int(text)


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as error:
        return _error(error.status, error.code, str(error))
    except web.HTTPException as error:
        return _error(error.status, "no-such-endpoint", f"{request.method} {request.path}: {error}")


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


def _json(record: Any) -> web.Response:
    return web.json_response(as_json(record))
