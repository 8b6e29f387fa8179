"""Answers the requests for the console: asks the daemon, and has a view made and rendered.

The loop collects what only it may touch, in slices. What takes longer, as sorting and rendering,
runs in a thread on records that nobody changes.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote

from emperor.linux.accounts import SystemAccounts
from emperor.linux.limits import machine_for_limits
from emperor.linux.log_owner import read_end
from emperor.model.authority import Caller, Operation, Verdict
from emperor.model.limits import combined, of_tenant
from emperor.model.problem import ProblemCode
from emperor.model.text import one_line
from emperor.supervisor.records import OrderOutcome
from emperor.supervisor.slices import slices
from emperor.web.aiohttp_server import web
from emperor.web.console import ROOT, fleet, ini_view, overview, vassal, vassals
from emperor.web.console.csrf import CsrfTokens, is_cross_site
from emperor.web.console.history import PatientHistory
from emperor.web.console.listing import Listing
from emperor.web.console.messages import CURES, TITLES, ConfirmationPage, ProblemPage
from emperor.web.console.orders import DRAIN, ORDERS
from emperor.web.console.remote_user import person
from emperor.web.console.rendering import Frame, Renderer
from emperor.web.console.shown_state import shown_state
from emperor.web.console.tenants import Names
from emperor.web.control import Control, forbidden, require, require_done
from emperor.web.problems import ApiError, number

log = logging.getLogger("emperord.site")

_DAY = timedelta(days=1)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_LOG_LINES = 40
_LOG_BYTES = 65_536
_LONGEST_FORM = 4096
# A browser that waits for the end of an order longer than this is shown the page meanwhile.
_PATIENCE_SECONDS = 2.0
# A path may have thousands of slashes, and a page has many links.
_DEEPEST = 3
_FOREVER = "private, max-age=31536000, immutable"

Handler = Callable[["Site", web.Request, Caller], Awaitable[web.StreamResponse]]


class Site:
    """The handlers of the console."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._renderer = Renderer()
        self._tokens = CsrfTokens()
        self._history = PatientHistory(control.daemon.history)
        self._accounts = SystemAccounts()
        self._names = Names(self._accounts)
        self._listing = Listing(control.reporter, self._history, self._names)

    async def answer(self, name: str, request: web.Request, caller: Caller) -> web.StreamResponse:
        """The answer of the handler of that name; a page that says why where it has none."""
        try:
            return await HANDLERS[name](self, request, caller)
        except ApiError as error:
            return await self._problem(request, caller, error)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:
            log.exception("cannot answer %s: a fault in emperord", one_line(request.path))
            why = f"cannot answer {request.path}: a fault in emperord"
            return await self._problem(request, caller, ApiError(ProblemCode.INTERNAL_ERROR, why))

    async def _problem(
        self, request: web.Request, caller: Caller, error: ApiError
    ) -> web.StreamResponse:
        title = TITLES.get(error.code, error.code.title)
        frame = self._frame(request, caller, title, "")
        failed = error.code is ProblemCode.ORDER_FAILED
        vassal = request.match_info["domain"] if failed else ""
        view = ProblemPage(title, str(error), CURES.get(error.code, ""), vassal)
        return await self._html("problem", frame, view, error.code.status)

    async def overview(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """All vassals in numbers."""
        reporter, now = self._control.reporter, self._now()
        census = overview.Census()
        async for part in slices(reporter.visible(caller)):
            census.count(part)
        rows = await reporter.rows(census.noted, caller)
        causes: dict[str, str] = {}
        async for part in slices(census.noted):
            causes |= {each.spec.domain: overview.cause_of(each) for each in part}
        refused = reporter.names_of_refused(caller)
        pulse = await self._history.pulse(caller, now - _DAY, now - overview.BY_HOUR)
        seen = overview.Seen(
            emperor=reporter.emperor_for(caller, rows, self._control.draining_since),
            census=census,
            rows=rows,
            refused=reporter.some_refused(refused[: overview.MOST_PROBLEM_ROWS]),
            more_refused=max(0, len(refused) - overview.MOST_PROBLEM_ROWS),
            limit_hits=reporter.sources.limit_hits(caller),
            causes=causes,
            pulse=pulse,
        )

        def view() -> overview.Overview:
            is_administrator = caller.is_administrator
            return overview.overview(seen, self._names, os.uname().nodename, is_administrator, now)

        frame = self._frame(request, caller, "Overview", "overview", live="")
        return await self._html("overview", frame, await asyncio.to_thread(view))

    async def refused(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """The inis that are not served."""
        names = self._control.reporter.names_of_refused(caller)
        pages = vassals.pages_of(len(names))
        page = min(vassals.list_query_of(request.query).page, pages)
        shown = names[(page - 1) * vassals.ROWS : page * vassals.ROWS]
        inis = overview.not_served(self._control.reporter.some_refused(shown))
        view = overview.RefusedPage(inis, len(names), page, pages)
        frame = self._frame(request, caller, "Inis that are not served", "overview", live="")
        return await self._html("refused", frame, view)

    async def vassals(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """A part of the list of vassals."""
        query = vassals.list_query_of(request.query)
        view = await self._listing.view(query, caller, self._now())
        frame = self._frame(request, caller, "Vassals", "vassals", live="")
        return await self._html("vassals", frame, view)

    async def vassal(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """One vassal."""
        found = self._control.found(request.match_info["domain"], caller, Operation.DETAIL)
        reporter, now = self._control.reporter, self._now()
        detail = await reporter.detail(found, caller)
        history = await self._history.of_vassal(
            found.spec.domain, caller, _BEGINNING, vassal.PAST_STARTS
        )
        spec, settings = found.spec, reporter.settings
        reader = None if caller.is_administrator else caller.uid
        shown = shown_state(found)

        def view() -> vassal.VassalPage:
            of_machine = machine_for_limits()
            rest = vassal.Rest(
                shown=shown,
                log=_log_lines(detail.log, reader),
                ini=ini_view.view(detail.ini, caller.uid, spec, settings, self._accounts),
                limits=vassal.limit_rows(
                    combined(settings.limits(), spec.limits, of_machine),
                    of_tenant(settings.limits("tenant_"), of_machine),
                    detail.limit_hits,
                    detail.status.memory_peak_bytes,
                ),
            )
            return vassal.page(detail, history, caller, rest, now)

        name = detail.status.name
        frame = self._frame(
            request, caller, name, "vassals", live=f"log=1&domain={quote(name, safe='')}"
        )
        return await self._html("vassal", frame, await asyncio.to_thread(view))

    async def log(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """The end of the log of a vassal. The script asks for it each time that the app prints, so
        it is short also where the app prints no line breaks."""
        found = self._control.found(request.match_info["domain"], caller, Operation.LOG)
        path, lines = self._control.reporter.log_of(found), number(request, "lines", _LOG_LINES)
        reader = None if caller.is_administrator else caller.uid
        part = await asyncio.to_thread(read_end, path, lines, reader, _LOG_BYTES)
        if part is None:
            raise ApiError(ProblemCode.NO_LOG, f"cannot show the log of {found.spec.domain}")
        return web.Response(body=part.text, content_type="text/plain", charset="utf-8")

    async def ask(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Ask back before an order."""
        found = self._control.found(request.match_info["domain"], caller, Operation.DETAIL)
        order = ORDERS[request.match_info["order"]]
        domain = found.spec.domain
        require(caller, Operation(order.name), found.spec.owner, domain)
        frame = self._frame(request, caller, f"{order.button}: {domain}", "vassals")
        back = f"../{quote(domain, safe='')}#now"
        return await self._html("ask", frame, ConfirmationPage(order, domain, order.name, back))

    async def order(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Carry an order out, and show the vassal."""
        await self._require_own(request, caller)
        host, order = request.match_info["domain"], ORDERS[request.match_info["order"]]
        who = await self._person(request, caller)
        with _logged():
            vassal, given = await self._control.give(host, order.name, caller, "console", who)
        domain, outcome = vassal.spec.domain, asyncio.wrap_future(given)

        def check(ended: asyncio.Future[OrderOutcome]) -> None:
            with suppress(ApiError), _logged():
                require_done(order.name, domain, ended.result())

        outcome.add_done_callback(check)
        # The order is carried out where the browser has left, or does not wait so long.
        await asyncio.wait({outcome}, timeout=_PATIENCE_SECONDS)
        if outcome.done():
            require_done(order.name, domain, outcome.result())
        return _to(f"../{quote(host, safe='')}#now")

    async def fleet(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """The page of this machine among others."""
        self._require_administrator(caller, Operation.DRAIN)
        control = self._control
        since = control.draining_since
        status, text = control.daemon.health.answer()
        view = fleet.Fleet(
            machine=os.uname().nodename,
            draining_since=since,
            answer=f"{status} {text.strip()}",
            order=DRAIN["drain" if since is None else "undrain"],
            probes=tuple(control.daemon.health.probes()),
            domains=len(control.governor.vassals),
            refused=len(control.reporter.hosts.refused),
            belonging=await fleet.belonging(control.daemon, control.governor.vassals),
        )
        return await self._html("fleet", self._frame(request, caller, "Fleet", "fleet"), view)

    async def ask_drain(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Ask back before a drain."""
        order = DRAIN[request.match_info["order"]]
        self._require_administrator(caller, Operation(order.name))
        machine = os.uname().nodename
        frame = self._frame(request, caller, f"{order.button}: {machine}", "fleet")
        return await self._html(
            "ask", frame, ConfirmationPage(order, machine, order.name, "fleet#drain")
        )

    async def drain(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Begin or end the drain of this machine."""
        await self._require_own(request, caller)
        order = DRAIN[request.match_info["order"]]
        self._require_administrator(caller, Operation(order.name))
        who = await self._person(request, caller)
        of_whom = f" for {who}" if who else ""
        log.info("console %s by uid %d%s", order.name, caller.uid, of_whom)
        control = self._control
        await (control.drain if order.name == "drain" else control.undrain)(request, caller)
        return _to("fleet#drain")

    async def events(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """What happens, as it happens."""
        return await self._control.live(request, caller)

    async def static(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        """The style sheet, the script and the icon."""
        file = self._renderer.static.get(request.match_info["name"])
        if file is None:
            raise _no_page(request)
        is_this = request.query.get("v") == file.version
        headers = {"Cache-Control": _FOREVER if is_this else "no-cache"}
        return web.Response(
            body=file.body, content_type=file.content_type, charset="utf-8", headers=headers
        )

    async def missing(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Answer that there is no such page, or none with that method."""
        allowed = await _methods(request)
        if not allowed:
            raise _no_page(request)
        why = f"cannot answer {request.method}: the page has {', '.join(sorted(allowed))} alone"
        answer = await self._problem(request, caller, ApiError(ProblemCode.METHOD_NOT_ALLOWED, why))
        answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    async def _person(self, request: web.Request, caller: Caller) -> str:
        return await asyncio.to_thread(person, request.headers, caller, self._accounts)

    def _require_administrator(self, caller: Caller, operation: Operation) -> None:
        if caller.may(operation) is not Verdict.ALLOWED:
            raise ApiError(ProblemCode.FORBIDDEN, forbidden(operation, caller))

    async def _require_own(self, request: web.Request, caller: Caller) -> None:
        """Raise ApiError unless a form of this console has sent the request."""
        token = ""
        if request.content_length is not None and request.content_length <= _LONGEST_FORM:
            # A body that does not have the encoding which its header names is no form.
            with suppress(web.RequestPayloadError):
                form = parse_qs((await request.read()).decode("ascii", "replace"))
                token = form.get("token", [""])[0]
        if is_cross_site(request.headers) or not self._tokens.is_valid(token, caller.uid):
            raise ApiError(
                ProblemCode.FORBIDDEN,
                "this order does not come from a page of this console, or emperord has restarted"
                " since; nothing was done: load the page again, and repeat it there",
            )

    def _frame(
        self,
        request: web.Request,
        caller: Caller,
        title: str,
        section: str,
        live: str | None = None,
    ) -> Frame:
        depth = request.rel_url.raw_path.removeprefix(ROOT).count("/")
        kind = "administrator" if caller.is_administrator else "tenant"
        return Frame(
            title=title,
            section=section,
            root="../" * min(depth, _DEEPEST) or "./",
            token=self._tokens.of(caller.uid),
            who=f"uid {caller.uid}, {kind}",
            is_administrator=caller.is_administrator,
            now=self._now(),
            live=live,
        )

    async def _html(
        self, template: str, frame: Frame, view: object, status: int = 200
    ) -> web.StreamResponse:
        body = await asyncio.to_thread(self._renderer.html, template, frame, view)
        return web.Response(body=body, status=status, content_type="text/html", charset="utf-8")

    def _now(self) -> datetime:
        governor = self._control.governor
        return governor.wall(governor.now())


HANDLERS: Mapping[str, Handler] = {
    "overview": Site.overview,
    "refused": Site.refused,
    "vassals": Site.vassals,
    "vassal": Site.vassal,
    "log": Site.log,
    "ask": Site.ask,
    "order": Site.order,
    "fleet": Site.fleet,
    "ask_drain": Site.ask_drain,
    "drain": Site.drain,
    "events": Site.events,
    "static": Site.static,
    "missing": Site.missing,
}


@contextmanager
def _logged() -> Iterator[None]:
    """Log what cannot be done."""
    try:
        yield
    except ApiError as error:
        # It has the host as the browser has sent it.
        log.info("%s", one_line(str(error)))
        raise


def _log_lines(path: str, reader: int | None) -> tuple[str, ...] | None:
    part = read_end(path, _LOG_LINES, reader, _LOG_BYTES)
    return None if part is None else part.lines


async def _methods(request: web.Request) -> set[str]:
    """The methods with which this path is a page."""
    found: set[str] = set()
    for resource in request.app.router.resources():
        found |= (await resource.resolve(request))[1]
    return found - {"*"}


def _no_page(request: web.Request) -> ApiError:
    return ApiError(ProblemCode.NO_SUCH_ENDPOINT, f"there is no page {request.path}")


def _to(location: str) -> web.Response:
    """Have the browser load another page, by a path relative to this one."""
    return web.Response(status=303, headers={"Location": location})
