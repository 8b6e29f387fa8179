"""The control API on control.sock: what emperorctl and other programs ask and order.

Every process may connect. model/authority.py decides what it may do, by its user and groups.
"""

import asyncio
import json
import logging
import re
from concurrent.futures import Future
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from emperor.handover.upgrade import CannotUpgrade
from emperor.model.activity import MOST_MEASURED, MOST_ROWS, Activity
from emperor.model.authority import Caller, Operation, Verdict
from emperor.model.history import Stats, VassalHistory
from emperor.model.lifecycle import Event
from emperor.model.log_fields import about
from emperor.model.problem import ProblemCode
from emperor.model.refusal import Refusal
from emperor.model.status import Report, UpgradeAccepted, as_json
from emperor.supervisor.events import EventLog
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import OrderOutcome, OrderStatus, Vassal
from emperor.supervisor.slices import slices
from emperor.web.activity import ActivityQuery, ActivityReporter
from emperor.web.aiohttp_server import web
from emperor.web.counters import Counted, Counters
from emperor.web.daemon import Daemon
from emperor.web.drain import Drain
from emperor.web.hosts import Absence
from emperor.web.log_streams import LogStreams
from emperor.web.problems import ApiError, moment, number
from emperor.web.report import Reporter
from emperor.web.stand_in import Question, Reply
from emperor.web.streams import JSON_LINES, SERVER_SENT, Streams

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
PAST_ENTRIES = 100
MOST_ENTRIES = 1000
ACTIVE_ROWS = 200
STATS_SECONDS = 86_400
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# SQLite takes no more values in a question.
_MOST_NAMES = 10_000
COUNTERS = web.AppKey("counters", Counters)
log = logging.getLogger("emperord.control")
_VASSAL_PATH = re.compile(r"/v1/vassals/(?P<domain>[\w.-]+)")


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
        self.governor = governor
        self.reporter = reporter
        self._drain = drain
        self.daemon = daemon
        self._streams = Streams(event_log, reporter.printed, self._may_read)
        self._logs = LogStreams(reporter, self._to_read)

    @property
    def draining_since(self) -> datetime | None:
        """Since when load balancers are sent elsewhere; None: they are not."""
        return self._drain.since

    async def end_streams(self, _app: web.Application) -> None:
        """End all answers that have no end of their own."""
        self._streams.end()
        self._logs.end()

    async def status(self, _request: web.Request, caller: Caller) -> web.Response:
        """The whole report."""
        return await _json_of_lists(await self.reporter.report(self._drain.since, caller))

    async def activity(self, request: web.Request, caller: Caller) -> web.Response:
        """The vassals that do something."""
        names = request.query.getall("measure", [])[:MOST_MEASURED]
        most = min(number(request, "most", ACTIVE_ROWS), MOST_ROWS)
        query = ActivityQuery(request.query.get("match", "").lower(), most, frozenset(names))
        reporter = ActivityReporter(self.reporter, self.governor.vassals)
        return await _json_of_lists(await reporter.activity(self._drain.since, caller, query))

    async def settings(self, _request: web.Request, _caller: Caller) -> web.Response:
        """The settings in effect."""
        return _json(self.reporter.settings_in_effect())

    async def bases(self, _request: web.Request, _caller: Caller) -> web.Response:
        """The preloaded interpreters."""
        return _json(await self.reporter.bases_report())

    async def vassal(self, request: web.Request, caller: Caller) -> web.Response:
        """One vassal in detail, also while it stops because its ini is gone."""
        vassal = self.found(request.match_info["domain"], caller, Operation.DETAIL)
        return _json(await self.reporter.detail(vassal, caller))

    async def host(self, request: web.Request, caller: Caller) -> web.Response:
        """The vassal that answers for a host, in detail."""
        host = request.match_info["host"]
        found = self.governor.vassals.get(host) or self.reporter.hosts.answering(host)
        if not isinstance(found, Vassal):
            raise self._absent(host, found, caller)
        require(caller, Operation.DETAIL, found.spec.owner, host)
        return _json(await self.reporter.detail(found, caller))

    async def history(self, request: web.Request, caller: Caller) -> web.Response:
        """What was kept of the past of a vassal."""
        found = self.found(request.match_info["domain"], caller, Operation.HISTORY)
        name = found.spec.domain
        since, most = moment(request, "since", _BEGINNING), number(request, "most", PAST_ENTRIES)
        most = min(most, MOST_ENTRIES)
        return await _json_of_lists(await self.daemon.history.of_vassal(name, caller, since, most))

    async def stats(self, request: web.Request, caller: Caller) -> web.Response:
        """Vassals in numbers."""
        since = moment(request, "since", self._wall() - timedelta(seconds=STATS_SECONDS))
        names = request.query.getall("domain", [])[:_MOST_NAMES]
        return await _json_of_lists(await self.daemon.history.stats(names, caller, since))

    async def log(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """The end of the log of a vassal, and what is appended."""
        return await self._logs.answer(request, caller)

    async def reply(self, question: Question, caller: Caller) -> Reply | None:
        """What `vassal` would answer, for the stand-in. The rest is for the new daemon: what it
        says of itself must be true of it, and an order is for it to carry out."""
        match = _VASSAL_PATH.fullmatch(question.path)
        vassal = self.governor.vassals.serving(match["domain"]) if match else None
        if vassal is None or not caller.sees(vassal.spec.owner):
            return None
        detail = as_json(await self.reporter.detail(vassal, caller))
        return Reply(200, "application/json", json.dumps(detail))

    async def events(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Events as JSON lines."""
        return await self._streams.answer(request, caller, JSON_LINES)

    async def live(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Events as server-sent events, for the console."""
        return await self._streams.answer(request, caller, SERVER_SENT)

    async def order(self, request: web.Request, caller: Caller) -> web.Response:
        """Carry an order out, and answer when it is done or has failed."""
        host, name = request.match_info["domain"], request.match_info["order"]
        vassal, given = await self.give(host, name, caller, "emperorctl")
        require_done(name, vassal.spec.domain, await asyncio.wrap_future(given))
        return _json(await self.reporter.detail(vassal, caller))

    async def give(
        self, host: str, name: str, caller: Caller, way: str, person: str = ""
    ) -> tuple[Vassal, Future[OrderOutcome]]:
        """Give the order `name`, which came by that `way`, for that `person` if the caller passes
        orders on. Returns what will come of it. Raises ApiError."""
        domain = self._to_order(host, name, caller).spec.domain
        by = f"{way} {_BY.get(name, name.replace('-', ' '))} by uid {caller.uid}"
        by += f" for {person}" if person else ""
        log.info("%s: %s", domain, by, extra=about(domain))
        try:
            await self.governor.maintenance.write_down(domain, ORDERS[name])
            # It may have another owner by now.
            vassal = self._to_order(host, name, caller)
            if name == _RENEWS:
                self.governor.kill_and_rebind(vassal)
            order = self.governor.order(vassal, ORDERS[name], by)
        except OSError as error:
            raise ApiError(
                ProblemCode.ORDER_FAILED,
                f"cannot change the maintenance of {domain}: cannot write {error.filename}:"
                f" {error.strerror}; nothing has changed",
            ) from error
        return vassal, order

    async def rescan(self, _request: web.Request, _caller: Caller) -> web.Response:
        """Read the folder of inis again, now."""
        await self.daemon.rescan()
        return web.json_response({})

    async def upgrade(self, request: web.Request, _caller: Caller) -> web.Response:
        """Have the version that is installed now take the daemon's place. The answer is sent before
        the exec, which ends this process and all its connections."""
        instance_id = self.reporter.emperor(self._drain.since).instance_id
        answer = web.json_response(as_json(UpgradeAccepted(instance_id)), status=202)
        answer.force_close()

        async def tell() -> None:
            await answer.prepare(request)
            await answer.write_eof()

        try:
            await self.daemon.upgrade(tell)
        except CannotUpgrade as error:
            if not answer.prepared:
                raise ApiError(
                    ProblemCode.CANNOT_UPGRADE, f"cannot upgrade: {error}; all stays as it is"
                ) from error
        return answer

    async def drain(self, _request: web.Request, _caller: Caller) -> web.Response:
        """Have load balancers sent elsewhere, and answer with what the daemon is then."""
        try:
            self._drain.begin(self._wall())
        except OSError as error:
            raise ApiError(
                ProblemCode.CANNOT_DRAIN, f"cannot drain: cannot write to run-dir: {error.strerror}"
            ) from error
        return _json(self.reporter.emperor(self._drain.since))

    async def undrain(self, _request: web.Request, _caller: Caller) -> web.Response:
        """Undo `drain`, and answer with what the daemon is then."""
        try:
            self._drain.end()
        except OSError as error:
            raise ApiError(
                ProblemCode.CANNOT_DRAIN,
                f"cannot undrain: cannot remove its note from run-dir: {error.strerror}",
            ) from error
        return _json(self.reporter.emperor(self._drain.since))

    async def notify_test(self, _request: web.Request, _caller: Caller) -> web.Response:
        """Send a test by each way, and answer with what came of it."""
        if not self.daemon.notices.are_wanted:
            raise ApiError(
                ProblemCode.CANNOT_NOTIFY,
                "cannot send a notice: neither notify-command nor notify-url is set",
            )
        return _json(await self.daemon.notices.test())

    async def metrics(self, request: web.Request, caller: Caller) -> web.Response:
        """Prometheus' text format, or OpenMetrics."""
        report = await self.reporter.report(self._drain.since, caller)
        counters = request.app[COUNTERS] if caller.is_administrator else Counters()
        most, accept = (
            self.reporter.most_in_metrics,
            ",".join(request.headers.getall("Accept", [])),
        )
        # Thousands of vassals have many thousand samples, and a thread lets the loop go on.
        body, content_type = await asyncio.to_thread(
            _exposition, report, counters.counted(), most, accept
        )
        return web.Response(body=body, headers={"Content-Type": content_type})

    def found(self, host: str, caller: Caller, operation: Operation) -> Vassal:
        """The vassal that the caller asks about, also while it stops because its ini is gone.
        Raises ApiError."""
        vassal = self.governor.vassals.get(host) or self._find(host, caller)
        require(caller, operation, vassal.spec.owner, host)
        return vassal

    def _wall(self) -> datetime:
        return self.governor.wall(self.governor.now())

    def _to_order(self, host: str, name: str, caller: Caller) -> Vassal:
        """The vassal that the caller may give that order."""
        vassal = self._find(host, caller)
        require(caller, Operation(name), vassal.spec.owner, host)
        return vassal

    def _to_read(self, request: web.Request, caller: Caller) -> Vassal:
        """The vassal whose log the caller may read."""
        vassal = self._find(request.match_info["domain"], caller)
        require(caller, Operation.LOG, vassal.spec.owner, vassal.spec.domain)
        return vassal

    def _may_read(self, domain: str, caller: Caller) -> bool:
        vassal = self.governor.vassals.get(domain)
        return (
            vassal is not None and caller.may(Operation.LOG, vassal.spec.owner) is Verdict.ALLOWED
        )

    def _find(self, host: str, caller: Caller) -> Vassal:
        """The vassal of that domain or alias, if it exists for the caller. An order for one host
        must not reach all hosts of a wildcard."""
        if vassal := self.governor.vassals.serving(host):
            require(caller, Operation.DETAIL, vassal.spec.owner, host)
            return vassal
        found = self.reporter.hosts.answering(host)
        if isinstance(found, Vassal) and caller.sees(found.spec.owner):
            why = f"{no_vassal(host)}; {found.spec.domain} answers for it"
            raise ApiError(ProblemCode.NO_SUCH_VASSAL, why)
        raise self._absent(host, found, caller)

    def _absent(self, host: str, found: Vassal | Refusal | Absence, caller: Caller) -> ApiError:
        """The error for a host without a vassal that the caller may know of."""
        if isinstance(found, Refusal) and caller.sees(found.owner):
            return ApiError(ProblemCode.REFUSED, found.message)
        leaving = self.governor.vassals.get(host)
        if leaving and caller.sees(leaving.spec.owner):
            why = leaving.last_stop.why if leaving.last_stop else "it is about to be gone"
            return ApiError(ProblemCode.NO_SUCH_VASSAL, f"{host} is no vassal any more: {why}")
        not_followed = self.reporter.sources.registry.not_followed(host)
        if not_followed and caller.is_administrator:
            return ApiError(ProblemCode.NO_SUCH_VASSAL, f"{no_vassal(host)}: {not_followed}")
        is_unread = found is Absence.UNREAD and caller.is_administrator
        why = "; its ini is still being read" if is_unread else ""
        return ApiError(ProblemCode.NO_SUCH_VASSAL, f"{no_vassal(host)}{why}")


def require_done(name: str, domain: str, outcome: OrderOutcome) -> None:
    """Raise ApiError unless the order `name` was carried out."""
    if outcome.status is OrderStatus.FAILED:
        raise ApiError(ProblemCode.ORDER_FAILED, f"cannot {name} {domain}: {outcome.why}")
    if outcome.status is OrderStatus.GONE:
        raise ApiError(ProblemCode.NO_SUCH_VASSAL, f"{domain} is no vassal any more: {outcome.why}")


def require(caller: Caller, operation: Operation, owner: int | None, host: str) -> None:
    """Raise ApiError if the caller may not do that with a vassal of that owner, which was found by
    that name."""
    match caller.may(operation, owner):
        case Verdict.HIDDEN:
            raise ApiError(ProblemCode.NO_SUCH_VASSAL, no_vassal(host))
        case Verdict.FORBIDDEN:
            raise ApiError(ProblemCode.FORBIDDEN, forbidden(operation, caller))


def no_vassal(host: str) -> str:
    """What is said of a host that has no vassal. The same is said of the vassals of others."""
    return f"there is no vassal {host}"


def forbidden(operation: Operation, caller: Caller) -> str:
    """Why a tenant may not do that."""
    return (
        f"cannot {operation.words}: that is for root and the members of control-group; uid"
        f" {caller.uid} may see, start, sleep, restart and reload the vassals that run as it"
    )


def _exposition(report: Report, counted: Counted, most: int, accept: str) -> tuple[bytes, str]:
    try:
        write = import_module("emperor.web.exposition").exposition
    except ImportError as error:
        # The modules on the disk are of a newer version.
        raise ApiError(
            ProblemCode.INTERNAL_ERROR,
            f"cannot show metrics: {error}; if emperord was installed anew since it started, run"
            " `emperorctl upgrade`",
        ) from error
    body, content_type = write(report, counted, most, accept)
    return body, content_type


def _json(record: Any) -> web.Response:
    return web.json_response(as_json(record))


async def _json_of_lists(record: Report | Activity | Stats | VassalHistory) -> web.Response:
    """The answer that `_json` gives, made with turns for the loop: a list may have thousands of
    rows."""
    members: dict[str, str] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if not isinstance(value, tuple):
            members[field.name] = json.dumps(as_json(value))
            continue
        rows: list[str] = []
        async for part in slices(value):
            rows += (json.dumps(as_json(row)) for row in part)
        members[field.name] = f"[{', '.join(rows)}]"
    text = ", ".join(f'"{name}": {member}' for name, member in members.items())
    return web.json_response(text=f"{{{text}}}")
