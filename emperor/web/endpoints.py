"""The endpoints of the control API, and who is let in to each."""

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from emperor.model.activity import MOST_MEASURED, MOST_ROWS, Activity
from emperor.model.authority import SCOPE, Caller, Operation, Scope, Verdict
from emperor.model.bases_report import BasesReport
from emperor.model.history import Stats, VassalHistory
from emperor.model.notice import NoticeTest
from emperor.model.problem import ProblemCode
from emperor.model.status import (
    EmperorStatus,
    Report,
    SettingsInEffect,
    UpgradeAccepted,
    VassalDetail,
)
from emperor.supervisor.events import REMEMBERED
from emperor.web.aiohttp_server import web
from emperor.web.console import Callers, add_console
from emperor.web.control import (
    ACTIVE_ROWS,
    COUNTERS,
    MOST_ENTRIES,
    ORDERS,
    PAST_ENTRIES,
    Control,
    forbidden,
)
from emperor.web.counters import Counters
from emperor.web.log_streams import LOG_LINES
from emperor.web.problems import ApiError, problems

log = logging.getLogger("emperord.endpoints")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of the API, from which docs/api.md is written. `pattern` is a path in aiohttp's
    syntax, `operation` what it does, None if the path says that. `answer` is the record in the
    body, or a text about the body where that is no record. `parameters` are names and meanings of
    what may stand in the query."""

    method: str
    pattern: str
    handler: Callable[[Control, web.Request, Caller], Awaitable[web.StreamResponse]]
    operation: Operation | None
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
    Endpoint(
        "GET", "/v1/status", Control.status, Operation.STATUS, "The daemon and all vassals.",
        Report,
    ),
    Endpoint(
        "GET", "/v1/activity", Control.activity, Operation.ACTIVITY,
        "The vassals that do something or have an error, and how many of each tenant are in which"
        " state. It costs what these cost, and a microsecond for each one that sleeps.",
        Activity, (ProblemCode.BAD_REQUEST,),
        parameters=(
            ("match", "those whose name or error contains this text, also ones that sleep"),
            ("most", f"how many vassals, {ACTIVE_ROWS} by default, up to {MOST_ROWS}; those that"
             " have failed come first"),
            ("measure", f"a domain whose memory (PSS) is measured, of {MOST_MEASURED} at most; it"
             " may stand several times"),
        ),
    ),
    Endpoint(
        "GET", "/v1/settings", Control.settings, Operation.SETTINGS,
        "The settings that the daemon has read, from its file and its command line.",
        SettingsInEffect,
    ),
    Endpoint(
        "GET", "/v1/bases", Control.bases, Operation.BASES,
        "The preloaded interpreters, from which apps are forked.", BasesReport,
    ),
    Endpoint(
        "GET", "/v1/vassals/{domain:[^/]*}", Control.vassal, Operation.DETAIL,
        "One vassal with its history. `domain` may be an alias.", VassalDetail, _NO_VASSAL,
    ),
    Endpoint(
        "GET", "/v1/vassals/{domain:[^/]*}/history", Control.history, Operation.HISTORY,
        "What is kept of the past of a vassal, over restarts and upgrades. A second may pass until"
        " something new is in the file, but not in this answer. For a tenant, only what happened"
        " while the vassal ran as it.",
        VassalHistory, (*_NO_VASSAL, ProblemCode.BAD_REQUEST),
        parameters=(
            ("since", "the time from which on; by default, as far as it is kept"),
            ("most", f"how many starts, and how many stops, up to {MOST_ENTRIES}; {PAST_ENTRIES} by"
             " default"),
        ),
    ),
    Endpoint(
        "GET", "/v1/stats", Control.stats, Operation.STATS,
        "All vassals in numbers, from the same history.", Stats, (ProblemCode.BAD_REQUEST,),
        parameters=(
            ("since", "the time from which on; a day ago by default"),
            ("domain", "only this vassal; it may stand several times"),
        ),
    ),
    Endpoint(
        "GET", "/v1/vassals/{domain:[^/]*}/log", Control.log, Operation.LOG,
        "The end of what the app has printed, at most its last MB. For a tenant, only what an app"
        " of its own has printed under this name.", "the bytes of the log, as `text/plain`",
        (*_NO_VASSAL, ProblemCode.NO_LOG, ProblemCode.BAD_REQUEST),
        parameters=(
            ("lines", f"how many lines, {LOG_LINES} by default"),
            ("follow", "`1` goes on with what the app prints, at most 256 KB a second, until the"
             " daemon ends; a line tells how many bytes are left out"),
        ),
    ),
    Endpoint(
        "GET", "/v1/hosts/{host:[^/]*}", Control.host, Operation.DETAIL,
        "The vassal that answers for a host: by its name, by an alias, or as the nearest wildcard."
        " `status` has its name.", VassalDetail, _NO_VASSAL,
    ),
    Endpoint(
        "POST", f"/v1/vassals/{{domain:[^/]*}}/{{order:{'|'.join(ORDERS)}}}", Control.order, None,
        "Carry out an order. The answer comes when it is done or has failed, which takes up to the"
        " start-timeout and stop-timeout of the vassal and its turn to boot.",
        VassalDetail, (*_NO_VASSAL, ProblemCode.ORDER_FAILED),
    ),
    Endpoint(
        "GET", "/v1/events", Control.events, Operation.EVENTS,
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
        "POST", "/v1/rescan", Control.rescan, Operation.RESCAN,
        "Read the folder of inis again, and bind the sockets that somebody took away. emperord does"
        " both by itself too: once a minute, and for a single ini when it changes.",
        "`{}`",
    ),
    Endpoint(
        "POST", "/v1/upgrade", Control.upgrade, Operation.UPGRADE,
        "Have the version that is installed now, with the settings as they are now, take the place"
        " of the daemon: the same process, the same apps. Until it answers,"
        " `GET /v1/vassals/DOMAIN` tells what was so at the end of the old one; all other requests"
        " wait for it.",
        UpgradeAccepted, (ProblemCode.CANNOT_UPGRADE,), status=202,
    ),
    Endpoint(
        "POST", "/v1/drain", Control.drain, Operation.DRAIN,
        "Tell load balancers that ask for health to send new requests elsewhere. It lasts until"
        " `undrain` or a reboot.",
        EmperorStatus, (ProblemCode.CANNOT_DRAIN,),
    ),
    Endpoint(
        "POST", "/v1/undrain", Control.undrain, Operation.UNDRAIN,
        "Tell load balancers to send requests here again.",
        EmperorStatus, (ProblemCode.CANNOT_DRAIN,),
    ),
    Endpoint(
        "POST", "/v1/notify-test", Control.notify_test, Operation.NOTIFY_TEST,
        "Send a notice by each way that is set (docs/notifications.md), once, and answer what came"
        " of it, which takes up to 15 s.",
        NoticeTest, (ProblemCode.CANNOT_NOTIFY,),
    ),
    Endpoint(
        "GET", "/metrics", Control.metrics, Operation.METRICS, "The metrics below, for Prometheus.",
        "text format 0.0.4, or OpenMetrics 1.0.0 if `Accept` has `application/openmetrics-text`",
    ),
)  # fmt: skip


def application(control: Control, callers: Callers, counters: Counters) -> web.Application:
    """The aiohttp application; the `counters` are for its metrics."""
    app = web.Application(middlewares=[problems])
    app[COUNTERS] = counters
    app.on_shutdown.append(control.end_streams)
    for endpoint in ENDPOINTS:
        app.router.add_route(
            endpoint.method, endpoint.pattern, _handler(endpoint, control, callers)
        )
    add_console(app, control, callers)
    return app


def _handler(
    endpoint: Endpoint, control: Control, callers: Callers
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        caller = callers.caller(request)
        await callers.turn(caller)
        operation = endpoint.operation
        if operation and SCOPE[operation] is Scope.DAEMON:
            if caller.may(operation) is not Verdict.ALLOWED:
                raise ApiError(ProblemCode.FORBIDDEN, forbidden(operation, caller))
            if endpoint.method != "GET":
                log.info("emperorctl %s by uid %d", operation.value, caller.uid)
        return await endpoint.handler(control, request, caller)

    return handle
