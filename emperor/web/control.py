"""The control API on control.sock: what emperorctl and other programs ask and order.

Every process that may open the socket may do all of this. Only its file mode protects it.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Protocol

from emperor.handover.upgrade import CannotUpgrade
from emperor.model.lifecycle import Event
from emperor.model.problem import ProblemCode
from emperor.model.refusal import Refusal
from emperor.model.status import (
    EmperorStatus,
    Report,
    SettingsInEffect,
    TransitionEvent,
    UpgradeAccepted,
    VassalDetail,
    as_json,
)
from emperor.supervisor.events import REMEMBERED, EventLog
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Result, Vassal
from emperor.supervisor.slices import slices
from emperor.web.aiohttp_server import web
from emperor.web.drain import Drain
from emperor.web.hosts import Absence
from emperor.web.metrics import StartSeconds, StartTimes
from emperor.web.problems import ApiError, problems
from emperor.web.report import Reporter
from emperor.web.stand_in import Question, Reply

ORDERS = {
    "start": Event.START,
    "sleep": Event.IDLE,
    "restart": Event.RESTART,
    "restart-fresh": Event.RESTART,
    "reload": Event.REVISED,
    "maintenance-on": Event.MAINTENANCE_ON,
    "maintenance-off": Event.MAINTENANCE_OFF,
}
_RENEWS = "restart-fresh"
_BY = {_RENEWS: "restart --fresh"}
_START_TIMES = web.AppKey("start_times", StartTimes)
_UNREAD_EVENTS = 1000
_VASSAL_PATH = re.compile(r"/v1/vassals/(?P<domain>[\w.-]+)")


class Daemon(Protocol):
    """What the whole daemon can be ordered to do."""

    async def rescan(self) -> None:
        """Read the folder of inis again."""

    async def upgrade(self, before_exec: Callable[[], Awaitable[None]]) -> None:
        """Become the version that is installed now. `before_exec` is awaited when nothing but the
        exec is left to do. Raises CannotUpgrade."""


class Control:
    """The API's handlers."""

    def __init__(
        self,
        governor: Governor,
        reporter: Reporter,
        event_log: EventLog,
        drain: Drain,
        daemon: Daemon,
    ) -> None:
        self._governor = governor
        self._reporter = reporter
        self._event_log = event_log
        self._drain = drain
        self._daemon = daemon
        self._streams: set[asyncio.Queue[TransitionEvent | None]] = set()

    def application(self, start_times: StartTimes) -> web.Application:
        """The aiohttp application; `start_times` are for its metrics."""
        app = web.Application(middlewares=[problems])
        app[_START_TIMES] = start_times
        app.on_shutdown.append(self._end_streams)
        for endpoint in ENDPOINTS:
            handler = partial(endpoint.handler, self)
            app.router.add_route(endpoint.method, endpoint.pattern, handler)
        return app

    async def status(self, _request: web.Request) -> web.Response:
        """The whole report."""
        return await _json_of_report(await self._reporter.report(self._drain.since))

    async def settings(self, _request: web.Request) -> web.Response:
        """The settings in effect."""
        return _json(self._reporter.settings_in_effect())

    async def vassal(self, request: web.Request) -> web.Response:
        """One vassal in detail, also while it stops because its ini is gone."""
        vassal = self._governor.vassals.get(request.match_info["domain"]) or self._find(request)
        return _json(await self._reporter.detail(vassal))

    async def host(self, request: web.Request) -> web.Response:
        """The vassal that answers for a host, in detail."""
        host = request.match_info["host"]
        found = self._governor.vassals.get(host) or self._reporter.hosts.answering(host)
        if isinstance(found, Vassal):
            return _json(await self._reporter.detail(found))
        raise self._absent(host, found)

    async def reply(self, question: Question) -> Reply | None:
        """The same answer of the stand-in. The rest is for the new daemon: what it says of itself
        must be true of it, and an order is for it to carry out."""
        match = _VASSAL_PATH.fullmatch(question.path)
        vassal = self._governor.vassals.serving(match["domain"]) if match else None
        if vassal is None:
            return None
        detail = as_json(await self._reporter.detail(vassal))
        return Reply(200, "application/json", json.dumps(detail))

    async def order(self, request: web.Request) -> web.Response:
        """Carry an order out, and answer when it is done or has failed."""
        vassal = self._find(request)
        name = request.match_info["order"]
        domain = vassal.spec.domain
        by = f"emperorctl {_BY.get(name, name.replace('-', ' '))}"
        try:
            await self._governor.maintenance.write_down(domain, ORDERS[name])
            vassal = self._find(request)
            if name == _RENEWS:
                self._governor.renew(vassal)
            order = self._governor.order(vassal, ORDERS[name], by)
        except OSError as error:
            raise ApiError(
                ProblemCode.ORDER_FAILED,
                f"cannot change the maintenance of {domain}: cannot write {error.filename}:"
                f" {error.strerror}; nothing has changed",
            ) from error
        outcome = await asyncio.wrap_future(order)
        if outcome.result is Result.FAILED:
            raise ApiError(ProblemCode.ORDER_FAILED, f"cannot {name} {domain}: {outcome.why}")
        if outcome.result is Result.GONE:
            raise ApiError(
                ProblemCode.NO_SUCH_VASSAL, f"{domain} is no vassal any more: {outcome.why}"
            )
        return _json(await self._reporter.detail(vassal))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Events as JSON lines: the remembered ones, with `?past=N` the last N of them, then each
        new one unless `follow=0`. With `domain=D`, only those of D."""
        past, follows = _past(request), request.query.get("follow") != "0"
        domains = frozenset(request.query.getall("domain", []))
        queue: asyncio.Queue[TransitionEvent | None] = asyncio.Queue(_UNREAD_EVENTS)

        def read(event: TransitionEvent) -> None:
            # A slow reader must not cost memory without end: it loses events, and sees it by `seq`.
            if _concerns(event, domains) and not queue.full():
                queue.put_nowait(event)

        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with self._event_log.reader(read):
            remembered = [each for each in self._event_log.recent() if _concerns(each, domains)]
            for event in remembered[max(0, len(remembered) - past) :]:
                queue.put_nowait(event)
            if not follows:
                queue.put_nowait(None)
            await response.prepare(request)
            self._streams.add(queue)
            try:
                # A reader that leaves is no fault.
                with suppress(ConnectionError):
                    while new_event := await queue.get():
                        # In ASCII: text of an app must not steer a terminal that shows it.
                        await response.write(json.dumps(as_json(new_event)).encode() + b"\n")
            finally:
                self._streams.discard(queue)
        return response

    async def _end_streams(self, _app: web.Application) -> None:
        for queue in self._streams:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def rescan(self, _request: web.Request) -> web.Response:
        """Read the folder of inis again, now."""
        await self._daemon.rescan()
        return web.json_response({})

    async def upgrade(self, request: web.Request) -> web.Response:
        """Have the version that is installed now take the daemon's place. The answer is sent before
        the exec, which ends this process and all its connections."""
        instance_id = self._reporter.emperor(self._drain.since).instance_id
        answer = web.json_response(as_json(UpgradeAccepted(instance_id)), status=202)
        answer.force_close()

        async def tell() -> None:
            await answer.prepare(request)
            await answer.write_eof()

        try:
            await self._daemon.upgrade(tell)
        except CannotUpgrade as error:
            if not answer.prepared:
                raise ApiError(
                    ProblemCode.CANNOT_UPGRADE, f"cannot upgrade: {error}; all stays as it is"
                ) from error
        return answer

    async def drain(self, _request: web.Request) -> web.Response:
        """Have load balancers sent elsewhere, and answer with what the daemon is then."""
        try:
            self._drain.begin(self._governor.wall(self._governor.now()))
        except OSError as error:
            raise ApiError(
                ProblemCode.CANNOT_DRAIN, f"cannot drain: cannot write to run-dir: {error.strerror}"
            ) from error
        return _json(self._reporter.emperor(self._drain.since))

    async def undrain(self, _request: web.Request) -> web.Response:
        """Undo `drain`, and answer with what the daemon is then."""
        try:
            self._drain.end()
        except OSError as error:
            raise ApiError(
                ProblemCode.CANNOT_DRAIN,
                f"cannot undrain: cannot remove its note from run-dir: {error.strerror}",
            ) from error
        return _json(self._reporter.emperor(self._drain.since))

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus' text format."""
        report = await self._reporter.report(self._drain.since)
        # Thousands of vassals have many thousand samples, and a thread lets the loop go on.
        starts = request.app[_START_TIMES].seconds()
        body, content_type = await asyncio.to_thread(_exposition, report, starts)
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _find(self, request: web.Request) -> Vassal:
        """The vassal of that domain or alias. An order for one host must not reach all hosts of a
        wildcard."""
        host = request.match_info["domain"]
        if vassal := self._governor.vassals.serving(host):
            return vassal
        found = self._reporter.hosts.answering(host)
        if isinstance(found, Vassal):
            why = f"there is no vassal {host}; {found.spec.domain} answers for it"
            raise ApiError(ProblemCode.NO_SUCH_VASSAL, why)
        raise self._absent(host, found)

    def _absent(self, host: str, found: Refusal | Absence) -> ApiError:
        """The error for a host without a vassal."""
        if isinstance(found, Refusal):
            return ApiError(ProblemCode.REFUSED, found.message)
        if leaving := self._governor.vassals.get(host):
            why = leaving.last_stop.why if leaving.last_stop else "it is about to be gone"
            return ApiError(ProblemCode.NO_SUCH_VASSAL, f"{host} is no vassal any more: {why}")
        why = "; its ini is still being read" if found is Absence.UNREAD else ""
        return ApiError(ProblemCode.NO_SUCH_VASSAL, f"there is no vassal {host}{why}")


def _concerns(event: TransitionEvent, domains: Collection[str]) -> bool:
    return not domains or event.name in domains


def _past(request: web.Request) -> int:
    text = request.query.get("past", str(REMEMBERED))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ApiError(ProblemCode.BAD_REQUEST, f"cannot use past={text}: it must be a number")
    return int(text)


def _exposition(report: Report, starts: StartSeconds) -> tuple[bytes, str]:
    body, content_type = import_module("emperor.web.exposition").exposition(report, starts)
    return body, content_type


def _json(record: Any) -> web.Response:
    return web.json_response(as_json(record))


async def _json_of_report(report: Report) -> web.Response:
    """The same as `_json`, with turns for the loop: there may be thousands of rows."""
    members = {"emperor": json.dumps(as_json(report.emperor))}
    for name, records in (("vassals", report.vassals), ("refused", report.refused)):
        rows: list[str] = []
        async for part in slices(records):
            rows += (json.dumps(as_json(record)) for record in part)
        members[name] = f"[{', '.join(rows)}]"
    text = ", ".join(f'"{name}": {member}' for name, member in members.items())
    return web.json_response(text=f"{{{text}}}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of the API, from which docs/api.md is written. `pattern` is a path in aiohttp's
    syntax, `answer` the record in the body, or a text about the body where that is no record.
    `parameters` are names and meanings of what may stand in the query."""

    method: str
    pattern: str
    handler: Callable[[Control, web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answer: type | str
    problems: tuple[ProblemCode, ...] = ()
    status: int = 200
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """The path, as people read it."""
        return re.sub(r"{(\w+):[^}]*}", r"{\1}", self.pattern)


_NO_VASSAL = (ProblemCode.NO_SUCH_VASSAL, ProblemCode.REFUSED)
ENDPOINTS = (
    Endpoint("GET", "/v1/status", Control.status, "The daemon and all vassals.", Report),
    Endpoint(
        "GET", "/v1/settings", Control.settings,
        "The settings that the daemon has read, from its file and its command line.",
        SettingsInEffect,
    ),
    Endpoint(
        "GET", "/v1/vassals/{domain:[^/]*}", Control.vassal,
        "One vassal with its history. `domain` may be an alias.", VassalDetail, _NO_VASSAL,
    ),
    Endpoint(
        "GET", "/v1/hosts/{host:[^/]*}", Control.host,
        "The vassal that answers for a host: by its name, by an alias, or as the nearest wildcard."
        " `status` has its name.", VassalDetail, _NO_VASSAL,
    ),
    Endpoint(
        "POST", f"/v1/vassals/{{domain:[^/]*}}/{{order:{'|'.join(ORDERS)}}}", Control.order,
        "Carry out an order. The answer comes when it is done or has failed, which takes up to the"
        " start-timeout and stop-timeout of the vassal and its turn to boot.",
        VassalDetail, (*_NO_VASSAL, ProblemCode.ORDER_FAILED),
    ),
    Endpoint(
        "GET", "/v1/events", Control.events,
        "The last events, and then each event as it happens, until the daemon ends.",
        "one TransitionEvent a line, as `application/x-ndjson`", (ProblemCode.BAD_REQUEST,),
        parameters=(
            ("past", "how many earlier events come first; as many as the daemon remembers, "
             f"{REMEMBERED}, by default"),
            ("domain", "only events of this vassal; it may stand several times"),
            ("follow", "`0` ends the answer after the earlier events"),
        ),
    ),
    Endpoint(
        "POST", "/v1/rescan", Control.rescan,
        "Read the folder of inis again, and bind the sockets that somebody took away. emperord does"
        " both by itself too: once a minute, and for a single ini when it changes.",
        "`{}`",
    ),
    Endpoint(
        "POST", "/v1/upgrade", Control.upgrade,
        "Have the version that is installed now, with the settings as they are now, take the place"
        " of the daemon: the same process, the same apps. Until it answers,"
        " `GET /v1/vassals/DOMAIN` tells what was so at the end of the old one; all other requests"
        " wait for it.",
        UpgradeAccepted, (ProblemCode.CANNOT_UPGRADE,), status=202,
    ),
    Endpoint(
        "POST", "/v1/drain", Control.drain,
        "Tell load balancers that ask for health to send new requests elsewhere. It lasts until"
        " `undrain` or a reboot.",
        EmperorStatus, (ProblemCode.CANNOT_DRAIN,),
    ),
    Endpoint(
        "POST", "/v1/undrain", Control.undrain,
        "Tell load balancers to send requests here again.",
        EmperorStatus, (ProblemCode.CANNOT_DRAIN,),
    ),
    Endpoint(
        "GET", "/metrics", Control.metrics, "The metrics below, for Prometheus.",
        "text format 0.0.4",
    ),
)  # fmt: skip
