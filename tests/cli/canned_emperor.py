"""A control API that tells what a test has put into it: a real server on a real unix socket."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from emperor.model.status import (
    EmperorStatus,
    Refused,
    Report,
    Sleep,
    TransitionEvent,
    VassalDetail,
    VassalStatus,
    Wake,
    as_json,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
GOAT = "www.obeythetestinggoat.com"


def before(**ago: float) -> datetime:
    """A moment before NOW; takes the arguments of timedelta."""
    return NOW - timedelta(**ago)


def parked(name: str) -> VassalStatus:
    """A vassal that sleeps, and was never awake."""
    return VassalStatus(
        name=name,
        state="parked",
        since=before(hours=5),
        pid=None,
        socket=f"/var/sockets/{name}/socket",
        idle=93600,
        last_hit=None,
        reap_at=None,
        starts=0,
        failures=0,
        retry_at=None,
        last_error=None,
        rss=None,
        cpu_seconds=None,
        pending=0,
        backlog=None,
        turn=None,
    )


def running(name: str) -> VassalStatus:
    """A vassal that serves."""
    return replace(
        parked(name),
        state="running",
        since=before(minutes=3, seconds=12),
        pid=4711,
        last_hit=before(seconds=12),
        reap_at=NOW + timedelta(hours=25, minutes=59),
        starts=3,
        rss=37 * 2**20,
        cpu_seconds=0.42,
        backlog=0,
    )


def throttled(name: str) -> VassalStatus:
    """A vassal whose app cannot start."""
    return replace(
        parked(name),
        state="throttled",
        since=before(seconds=4),
        starts=5,
        failures=5,
        retry_at=NOW + timedelta(seconds=12),
        last_error="exit status 22: ModuleNotFoundError: No module named 'flask'",
    )


def detail(status: VassalStatus) -> VassalDetail:
    """A vassal with a history."""
    return VassalDetail(
        status=status,
        ini=f"/etc/uwsgi/vassals/{status.name}.ini",
        activation="fallback",
        aliases=(),
        predecessor_pid=None,
        ini_error=None,
        wake=Wake(
            by="hit",
            client="203.0.113.9",
            request="7f3c0a",
            method="GET",
            path="/cart",
            agent="curl/8.0",
            at=before(minutes=3, seconds=12),
            spawned_ms=1.2,
            loaded_ms=154.0,
            accepting_ms=156.4,
            first_reply_ms=162.0,
        ),
        sleep=Sleep(at=before(hours=5), why="idle"),
        log=f"/var/log/emperord/{status.name}.log",
        log_tail=(),
    )


def report(*vassals: VassalStatus, refused: tuple[Refused, ...] = ()) -> Report:
    """What `GET /v1/status` tells."""
    emperor = EmperorStatus(
        pid=815,
        version="0.1.0",
        started_at=before(days=3),
        activation="fallback",
        draining=None,
        held=0,
        turned_away=0,
    )
    return Report(emperor, vassals, refused)


def draining(told: Report, since: datetime | None) -> Report:
    """The same of a machine that drains since then."""
    return replace(told, emperor=replace(told.emperor, draining=since))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an order is answered with."""

    status: int
    body: object


def failure(status: int, code: str, message: str) -> Answer:
    """An error in the API's form."""
    return Answer(status, {"error": {"code": code, "message": message}})


@dataclass(slots=True)
class CannedEmperor:
    """What is told, and, in `orders`, what was ordered; those for names in `held` go unanswered.
    `events_end` closes the stream of events after its last line, as a daemon does that ends.
    An upgrade makes it the `successor`, or has that answer."""

    run_dir: Path
    report: Report = field(default_factory=report)
    details: dict[str, VassalDetail] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    events: tuple[TransitionEvent, ...] = ()
    events_end: bool = True
    orders: list[str] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    successor: EmperorStatus | Answer | None = None

    def application(self) -> web.Application:
        """The API."""
        app = web.Application()
        app.router.add_get("/v1/status", self._status)
        app.router.add_get("/v1/vassals/{domain}", self._vassal)
        app.router.add_post("/v1/vassals/{domain}/{order}", self._order)
        app.router.add_get("/v1/events", self._events)
        app.router.add_post("/v1/upgrade", self._upgrade)
        app.router.add_post("/v1/drain", self._drain)
        app.router.add_post("/v1/undrain", self._undrain)
        return app

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(as_json(self.report))

    async def _vassal(self, request: web.Request) -> web.Response:
        return self._detail(request.match_info["domain"])

    async def _order(self, request: web.Request) -> web.Response:
        domain, order = request.match_info["domain"], request.match_info["order"]
        self.orders.append(f"{order} {domain}")
        if domain in self.held:
            await asyncio.Event().wait()
        if answer := self.answers.get(domain):
            return web.json_response(answer.body, status=answer.status)
        return self._detail(domain)

    async def _drain(self, _request: web.Request) -> web.Response:
        self.report = draining(self.report, self.report.emperor.draining or NOW)
        return web.json_response(as_json(self.report.emperor))

    async def _undrain(self, _request: web.Request) -> web.Response:
        self.report = draining(self.report, None)
        return web.json_response(as_json(self.report.emperor))

    async def _upgrade(self, _request: web.Request) -> web.Response:
        if isinstance(self.successor, Answer):
            return web.json_response(self.successor.body, status=self.successor.status)
        assert self.successor
        self.report = replace(self.report, emperor=self.successor)
        return web.json_response({}, status=202)

    def _detail(self, domain: str) -> web.Response:
        if known := self.details.get(domain):
            return web.json_response(as_json(known))
        answer = failure(404, "no-such-vassal", f"there is no vassal {domain}")
        return web.json_response(answer.body, status=answer.status)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        past = int(request.query.get("past", "100"))
        for happening in self.events[max(0, len(self.events) - past) :]:
            await response.write(json.dumps(as_json(happening)).encode() + b"\n")
        if not self.events_end:
            await asyncio.Event().wait()
        return response


@contextmanager
def listening(emperor: CannedEmperor) -> Iterator[None]:
    """Serve on `control.sock` of its run-dir until the block is left."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(emperor.application(), shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.UnixSite(runner, str(emperor.run_dir / "control.sock")).start()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result()
        yield
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
