"""nginx's fallback asks here for a domain whose app did not take the request.

The request is held until the app accepts, and then nginx is told to run the original request
(X-Accel-Redirect); or it is told in time why that will not happen. See DESIGN's contract and
nginx/emperord/journey.conf for the other end.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from enum import Enum

from aiohttp import web

from emperor.linux.limits import descriptors
from emperor.model.admission import UNKNOWN_HOSTS, Admission, Bursts, Limit
from emperor.model.cause import Cause
from emperor.model.domain import is_domain
from emperor.model.lifecycle import State
from emperor.model.settings import Settings
from emperor.model.spec import Spec
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal
from emperor.web.health import HEALTH_PATH, Health
from emperor.web.pace import Pace
from emperor.web.pages import Page, Pages

log = logging.getLogger("emperord")

RETRY_SECONDS = 5
# An ini that is refused stays so until somebody mends it.
RETRY_REFUSED_SECONDS = 30


class Outcome(Enum):
    """What becomes of a held request in a state of its vassal."""

    RUN = "run"
    WAIT = "wait"
    BROKEN = "broken"
    STOPPED = "stopped"
    GONE = "gone"


def outcome(vassal: Vassal | None) -> Outcome:
    """Whether a request that waits for this vassal can be run, or never will be."""
    if vassal is None or vassal.state is State.REMOVED:
        return Outcome.GONE
    if vassal.state in (State.RUNNING, State.RELOADING):
        return Outcome.RUN
    if vassal.state is State.THROTTLED:
        return Outcome.BROKEN
    if vassal.state is State.STARTING or vassal.pending_event:
        return Outcome.WAIT
    return Outcome.STOPPED


@dataclass(frozen=True, slots=True)
class Hit:
    """What nginx tells of the request that it could not place."""

    domain: str
    navigates: bool
    tries: int
    client: str | None
    request_id: str

    @classmethod
    def of(cls, request: web.Request) -> "Hit":
        """Read the headers of the contract."""
        headers = request.headers
        return cls(
            domain=headers.get("X-Domain", ""),
            navigates=headers.get("X-Navigate") == "1",
            tries=len(headers.get("X-Try", "")),
            client=headers.get("X-Forwarded-For"),
            request_id=headers.get("X-Request-Id", ""),
        )


class Activation:
    """The endpoint on activate.sock. `refused` are the domains whose ini is not served, and
    `provide` may make a vassal for a domain that has none."""

    def __init__(
        self,
        settings: Settings,
        governor: Governor,
        pace: Pace,
        refused: Collection[str],
        provide: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._settings = settings
        self._governor = governor
        self._pace = pace
        self._refused = refused
        self._provide = provide
        self._pages = Pages()
        self._stopping = False
        self.admission = Admission(settings, descriptors())
        self._bursts = Bursts()

    def stop(self) -> None:
        """From here on every request, held ones too, is told that the daemon stops."""
        self._stopping = True

    def application(self, health: Health) -> web.Application:
        """The aiohttp application: hits of any method and path, and the probes of balancers."""

        async def handle(request: web.Request) -> web.Response:
            # A hit names its domain, and may well be for a page of that path.
            if request.path == HEALTH_PATH and "X-Domain" not in request.headers:
                return await health.handle(request)
            return await self.handle(request)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        app.on_response_prepare.append(_say_nothing_else)
        return app

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one hit, by the contract."""
        hit = Hit.of(request)
        if not is_domain(hit.domain):
            return self._page(Page.NO_DOMAIN, hit)
        vassal = self._governor.vassals.serving(hit.domain)
        domain = vassal.spec.domain if vassal else UNKNOWN_HOSTS
        connection = request.get_extra_info("socket")
        if bound := self.admission.rejection(domain, connection.fileno() if connection else 0):
            return self._reject(hit, domain, bound)
        with self.admission.holding(domain):
            return await self._place(hit)

    async def _place(self, hit: Hit) -> web.Response:
        vassal = self._governor.vassals.serving(hit.domain)
        if vassal is None and hit.domain not in self._refused and await self._provide(hit.domain):
            vassal = self._governor.vassals.serving(hit.domain)
        if self._stopping:
            return self._page(Page.STOPPING, hit)
        if vassal is None:
            refused = hit.domain in self._refused
            return self._page(Page.REFUSED if refused else Page.UNKNOWN, hit, RETRY_REFUSED_SECONDS)
        self._demand(vassal, hit)
        return await self._hold(hit, vassal.spec.domain)

    def _reject(self, hit: Hit, domain: str, bound: Limit) -> web.Response:
        whose = {
            Limit.DOMAIN: f" for {domain}",
            Limit.UNKNOWN_HOSTS: " for hosts without an ini",
        }.get(bound, "")
        if self._bursts.begins(bound.value + whose, self._governor.now()):
            held = self.admission.held(domain) if whose else self.admission.total
            log.warning(
                "%d requests are held%s, and more are answered 503 (%s)", held, whose, bound.value
            )
        return self._page(Page.CROWDED, hit)

    def _demand(self, vassal: Vassal, hit: Hit) -> None:
        now = self._governor.now()
        cause = Cause("hit", now, hit.client, hit.request_id or None, hit.navigates)
        self._governor.demand(vassal, cause)

    async def _hold(self, hit: Hit, domain: str) -> web.Response:
        changed = asyncio.Event()
        page_after = self._settings.page_after if hit.navigates else None
        self._governor.subscribers.add(domain, changed.set)
        try:
            async with asyncio.timeout(page_after) as limit:
                return await self._answer(hit, domain, changed, limit)
        except TimeoutError:
            return self._page(Page.WAITING if hit.navigates else Page.LATE, hit)
        finally:
            self._governor.subscribers.remove(domain, changed.set)

    async def _answer(
        self, hit: Hit, domain: str, changed: asyncio.Event, limit: asyncio.Timeout
    ) -> web.Response:
        while True:
            vassal = self._governor.vassals.get(domain)
            if limit.when() is None and vassal and not vassal.is_queued_to_start:
                # How long it stood in line says nothing about the app; nginx bounds it all.
                began = asyncio.get_running_loop().time()
                limit.reschedule(began + _longest_wait(vassal.spec))
            if self._stopping:
                return self._page(Page.STOPPING, hit)
            match outcome(vassal):
                case Outcome.RUN if vassal is not None:
                    await self._pace.turn(domain, vassal.listener, hit.tries > 1)
                    vassal = self._governor.vassals.get(domain)
                    now = outcome(vassal)
                    if now is Outcome.RUN:
                        return web.Response(headers={"X-Accel-Redirect": "@app"})
                    if now is Outcome.STOPPED and vassal is not None:
                        # Its end came between: it is woken again, as by one who comes now.
                        self._demand(vassal, hit)
                case Outcome.BROKEN if vassal is not None:
                    wait = (vassal.retry_at or 0.0) - self._governor.now()
                    return self._page(Page.BROKEN, hit, max(1, math.ceil(wait)))
                case Outcome.STOPPED:
                    return self._page(Page.STOPPING, hit)
                case Outcome.GONE:
                    return self._page(Page.UNKNOWN, hit)
                case _:
                    await changed.wait()
                    changed.clear()

    def _page(self, page: Page, hit: Hit, retry_seconds: int = RETRY_SECONDS) -> web.Response:
        wording = page.value
        headers = {"Cache-Control": "no-store"}
        if wording.status == 503:
            headers["Retry-After"] = str(wording.refresh_seconds or retry_seconds)
        if hit.navigates:
            text = self._pages.html(page, hit.domain, hit.request_id)
            kind = "text/html"
        else:
            text, kind = self._pages.text(page), "text/plain"
        return web.Response(status=wording.status, text=text, content_type=kind, headers=headers)


def _longest_wait(spec: Spec) -> float:
    """A boot may have to wait for the end of a process that must not run twice."""
    return spec.start_timeout + spec.stop_timeout


async def _say_nothing_else(_request: web.Request, response: web.StreamResponse) -> None:
    """Take out what would leak into the reply of the app that nginx redirects to."""
    response.headers.popall("Server", None)
    if "X-Accel-Redirect" in response.headers:
        response.headers.popall("Content-Type", None)
        response.headers.popall("Date", None)
