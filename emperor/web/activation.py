"""The endpoint of nginx's fallback: answers a request that the app itself did not take.

The request is held until the app accepts. The answer then has nginx run the original request
(X-Accel-Redirect). A request that cannot be run is answered with a page. The other end is
nginx/emperord/journey.conf.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from emperor.linux.limits import descriptors
from emperor.model.admission import UNKNOWN_HOSTS, Admission, Bursts, Held, Limit
from emperor.model.domain import is_domain
from emperor.model.download import why_refused
from emperor.model.estimate import estimate
from emperor.model.lifecycle import SERVING, State
from emperor.model.log_fields import about
from emperor.model.ports import Listener
from emperor.model.provided import Provided
from emperor.model.refusal import Refusal
from emperor.model.settings import Settings
from emperor.model.spec import Repeat, Spec
from emperor.model.wildcard import names_of
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal
from emperor.web.aiohttp_server import web
from emperor.web.health import HEALTH_PATH, Health
from emperor.web.hit import Hit
from emperor.web.hosts import Absence, Hosts
from emperor.web.pace import Pacer
from emperor.web.pages import Page, Pages, Visit

log = logging.getLogger("emperord.activation")

RETRY_SECONDS = 5
# An ini that is refused stays refused until somebody mends it.
RETRY_REFUSED_SECONDS = 30
# nginx adds at least so much to the head of a request (nginx/emperord/uwsgi.conf).
PARAMETERS_BYTES = 400


@dataclass(frozen=True, slots=True)
class Run:
    """The app accepts on this listener: nginx can run the request."""

    listener: Listener


@dataclass(frozen=True, slots=True)
class Wait:
    """Hold the request until its vassal changes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with this page; a 503 has a Retry-After of that many seconds, or the page's own."""

    page: Page
    retry_seconds: int = RETRY_SECONDS


STOPPED = Answer(Page.STOPPING)
UNKNOWN = Answer(Page.UNKNOWN)
UNREAD = Answer(Page.LATE)
UNSURE = Answer(Page.UNSURE)
_ABSENT = {
    Absence.UNKNOWN: UNKNOWN,
    Absence.UNREAD: UNREAD,
}


def outcome(vassal: Vassal | None, now: float) -> Run | Wait | Answer:
    """What to do with a request that is held for this vassal. `now` in monotonic seconds."""
    if vassal is None or vassal.state is State.REMOVED:
        return Answer(Page.UNKNOWN)
    if vassal.state in SERVING:
        return Run(vassal.listener)
    if vassal.in_maintenance or vassal.has_fault:
        return Answer(Page.MAINTENANCE if vassal.in_maintenance else Page.BROKEN)
    if vassal.state is State.THROTTLED:
        wait = (vassal.retry_at or now) - now
        return Answer(Page.BROKEN, max(1, math.ceil(wait)))
    if vassal.state is State.STARTING or vassal.pending_event:
        return Wait()
    return STOPPED


def failure(hit: Hit, spec: Spec) -> Answer | None:
    """The answer to a request that may not run, or not again; None if it may."""
    if hit.runs and hit.head_bytes + PARAMETERS_BYTES > spec.head_bytes:
        return Answer(Page.LARGE_HEAD)
    if not hit.may_run or (hit.runs and spec.repeat is Repeat.NEVER):
        return Answer(Page.FAILED)
    return None


def turned_away(vassal: Vassal, hit: Hit, now: float) -> Answer | None:
    """The answer to a request that looks as if it had run, and whose connection emperord has closed
    because the app is throttled; None for all others. `now` in monotonic seconds."""
    if hit.may_run and vassal.spec.is_always_open and vassal.state is State.THROTTLED:
        answer = outcome(vassal, now)
        return answer if isinstance(answer, Answer) else None
    return None


class Activation:
    """The endpoint on activate.sock. `hosts` finds the vassal that answers for a host. `provide`
    tries to make a vassal for a host without one, or for one that a wildcard answers for."""

    def __init__(
        self,
        settings: Settings,
        governor: Governor,
        pacer: Pacer,
        hosts: Hosts,
        provide: Callable[[str, str | None], Awaitable[Provided]],
    ) -> None:
        self._settings = settings
        self._governor = governor
        self._pacer = pacer
        self._hosts = hosts
        self._provide = provide
        self._pages = Pages(settings.pages_dir)
        self._stopping = False
        self.admission = Admission(settings, descriptors())
        self._bursts = Bursts()

    def stop(self) -> None:
        """Answer every request, held ones too, that the site is being stopped."""
        self._stopping = True

    def application(self, health: Health) -> web.Application:
        """The aiohttp application: hits of any method and path, and probes of load balancers."""

        async def handle(request: web.Request) -> web.Response:
            # A hit may be for the same path, and names its domain.
            if request.path == HEALTH_PATH and "X-Domain" not in request.headers:
                return await health.handle(request)
            return await self.handle(request)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        app.on_response_prepare.append(_remove_headers)
        return app

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one hit."""
        hit = Hit.of(request.headers)
        if not is_domain(hit.domain):
            return self._respond(Answer(Page.NO_DOMAIN), hit)
        answers = self._vassal(hit.domain)
        vassal = answers if isinstance(answers, Vassal) else None
        if hit.refused_file:
            return self._refuse_download(vassal, hit, hit.refused_file)
        domain = vassal.spec.domain if vassal else UNKNOWN_HOSTS
        tenant = vassal.spec.owner if vassal else None
        connection = request.get_extra_info("socket")
        descriptor = connection.fileno() if connection else 0
        if limit := self.admission.rejection(domain, descriptor, tenant):
            self._log_rejection(domain, limit)
            return self._respond(Answer(Page.CROWDED), hit)
        with self.admission.holding(domain, tenant) as held:
            return await self._wake(hit, held)

    async def _wake(self, hit: Hit, held: Held) -> web.Response:
        """Have the app started, and hold the request meanwhile."""
        came = self._governor.now()
        vassal = self._vassal(hit.domain)
        wildcard = _wildcard(vassal, hit.domain)
        if wildcard or vassal in (UNKNOWN, UNREAD):
            vassal = await self._provided(hit.domain, wildcard, vassal)
        if self._stopping:
            return self._respond(STOPPED, hit)
        if isinstance(vassal, Answer):
            return self._respond(vassal, hit)
        if failed := failure(hit, vassal.spec):
            now = self._governor.now()
            return self._respond(turned_away(vassal, hit, now) or failed, hit)
        if vassal.state not in SERVING and self._governor.permits.why_not(vassal.spec.domain):
            return self._elsewhere(hit, vassal.spec.domain)
        if hit.tries <= 1:
            self._governor.chronicle.hit(vassal)
        self._demand(vassal, hit)
        return await self._hold(hit, vassal.spec.domain, held, came)

    def _elsewhere(self, hit: Hit, domain: str) -> web.Response:
        self._governor.permits.turned_away(domain)
        return self._respond(Answer(Page.ELSEWHERE), hit)

    async def _provided(
        self, host: str, wildcard: str | None, without: Vassal | Answer
    ) -> Vassal | Answer:
        """The vassal that answers for a host, or the answer in its place, after a search for one.
        `without` is what there is without."""
        match await self._provide(host, wildcard):
            case Provided.NOTHING:
                return without
            case Provided.UNSURE if wildcard is None:
                return UNSURE
            case Provided.REFUSED:
                return Answer(Page.REFUSED, RETRY_REFUSED_SECONDS)
        return self._vassal(host)

    def _vassal(self, host: str) -> Vassal | Answer:
        """The vassal that answers for a host, or the answer in its place."""
        found = self._hosts.answering(host)
        if isinstance(found, Refusal):
            return Answer(Page.REFUSED, RETRY_REFUSED_SECONDS)
        return found if isinstance(found, Vassal) else _ABSENT[found]

    def _refuse_download(self, vassal: Vassal | None, hit: Hit, named: str) -> web.Response:
        """Answer a request whose app has named a file that nginx does not send for it."""
        if vassal and self._bursts.begins(
            f"X-Accel-Redirect of {vassal.spec.domain}", self._governor.now()
        ):
            log.warning(
                "cannot send the file %r that %s names in X-Accel-Redirect: %s",
                named, vassal.spec.domain, why_refused(named, hit.domain),
                extra=about(vassal.spec.domain),
            )  # fmt: skip
        return self._respond(Answer(Page.NO_DOWNLOAD), hit)

    def _log_rejection(self, domain: str, limit: Limit) -> None:
        scope = {
            Limit.DOMAIN: f" for {domain}",
            Limit.UNKNOWN_HOSTS: " for hosts without an ini",
        }.get(limit, "")
        if self._bursts.begins(limit.value + scope, self._governor.now()):
            held = self.admission.held(domain) if scope else self.admission.total
            log.warning(
                "%d requests are held%s, and more are answered 503 (%s)",
                held, scope, limit.value,
                extra=about(domain) if limit is Limit.DOMAIN else None,
            )  # fmt: skip

    def _log_surplus(self, held: Held, limit: Limit) -> None:
        who = "emperord" if held.tenant is None else f"uid {held.tenant}"
        if self._bursts.begins(f"surplus of {who}", self._governor.now()):
            log.warning(
                "%d requests are held for apps of %s, and new ones are answered 503, since others"
                " need a place (%s)",
                self.admission.held_of(held.tenant), who, limit.value, extra=about(held.domain),
            )  # fmt: skip

    def _demand(self, vassal: Vassal, hit: Hit) -> None:
        self._governor.demand(vassal, hit.cause(self._governor.now()))

    async def _hold(self, hit: Hit, domain: str, held: Held, came: float) -> web.Response:
        """Hold the request, which came at `came`, for as long as it may take, or until it gives
        way, and answer it."""
        changed = asyncio.Event()
        page_after = self._settings.page_after if hit.navigates else None
        self._governor.subscribers.add(domain, changed.set)
        try:
            async with asyncio.timeout(page_after) as limit:
                held.on_turned_away = lambda: _end_now(limit)
                return await self._answer(hit, domain, changed, limit, came)
        except TimeoutError:
            if held.turned_away_for:
                self._log_surplus(held, held.turned_away_for)
                return self._respond(Answer(Page.CROWDED), hit)
            return self._respond(Answer(Page.WAITING if hit.navigates else Page.LATE), hit)
        finally:
            self._governor.subscribers.remove(domain, changed.set)

    async def _answer(
        self,
        hit: Hit,
        domain: str,
        changed: asyncio.Event,
        limit: asyncio.Timeout,
        came: float,
    ) -> web.Response:
        was_held = False
        while True:
            vassal = self._governor.vassals.get(domain)
            if limit.when() is None and vassal and not vassal.is_queued_to_start:
                # The time in the boot queue says nothing about the app; nginx limits the whole.
                now = asyncio.get_running_loop().time()
                limit.reschedule(now + _longest_wait(vassal.spec))
            if self._stopping:
                return self._respond(STOPPED, hit)
            decision = outcome(vassal, self._governor.now())
            if not isinstance(decision, Run) and self._governor.permits.why_not(domain):
                return self._elsewhere(hit, domain)
            match decision:
                case Run(listener):
                    response = await self._run(hit, domain, listener)
                    if response is not None and was_held and self._settings.wake_header:
                        waited = round((self._governor.now() - came) * 1000)
                        response.headers["X-Emperord-Wake"] = f"{waited}ms"
                    if response is not None:
                        return response
                case Answer() as answer:
                    return self._respond(answer, hit)
                case Wait():
                    was_held = True
                    await changed.wait()
                    changed.clear()

    async def _run(self, hit: Hit, domain: str, listener: Listener) -> web.Response | None:
        """Let nginx run the request. None: the app has ended meanwhile."""
        await self._pacer.wait(domain, listener, was_refused=hit.tries > 1)
        vassal = self._governor.vassals.get(domain)
        decision = outcome(vassal, self._governor.now())
        if vassal and decision == STOPPED:
            self._demand(vassal, hit)
        if not isinstance(decision, Run):
            return None
        is_own = vassal is None or hit.domain in (domain, *vassal.spec.aliases)
        if not is_own and not decision.listener.link(hit.domain):
            return self._respond(Answer(Page.BROKEN), hit)
        return web.Response(headers={"X-Accel-Redirect": "@app"})

    def _respond(self, answer: Answer, hit: Hit) -> web.Response:
        wording = answer.page.value
        headers = {"Cache-Control": "no-store"}
        if wording.status == 503:
            headers["Retry-After"] = str(wording.refresh_seconds or answer.retry_seconds)
        if hit.wants_html:
            text, kind = self._pages.html(answer.page, self._visit(answer.page, hit)), "text/html"
        else:
            text, kind = self._pages.text(answer.page), "text/plain"
        return web.Response(status=wording.status, text=text, content_type=kind, headers=headers)

    def _visit(self, page: Page, hit: Hit) -> Visit:
        found = self._hosts.answering(hit.domain)
        request = hit.request_id or ""
        if isinstance(found, Vassal):
            said = _estimate(found, self._governor.now()) if page is Page.WAITING else ""
            return Visit(hit.host, request, found.spec.domain, said)
        return Visit(hit.host, request, found.domain if isinstance(found, Refusal) else None)


def _wildcard(vassal: Vassal | Answer, host: str) -> str | None:
    """The wildcard by which a vassal answers for a host; None: none does."""
    if isinstance(vassal, Answer):
        return None
    own = (vassal.spec.domain, *vassal.spec.aliases)
    name = next((name for name in names_of(host) if name in own), host)
    return None if name == host else name


def _estimate(vassal: Vassal, now: float) -> str:
    """What a waiting page says of the start; empty if the app does not boot yet."""
    if vassal.is_queued_to_start:
        return estimate(vassal.boots, None)
    if vassal.state is State.STARTING and vassal.lead:
        return estimate(vassal.boots, now - vassal.lead.boot.spawned)
    return ""


def _end_now(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())


def _longest_wait(spec: Spec) -> float:
    """A boot may have to wait for the end of a process that must not run twice."""
    return spec.start_timeout + spec.stop_timeout


async def _remove_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Remove the headers that nginx would add to the app's reply."""
    response.headers.popall("Server", None)
    if "X-Accel-Redirect" in response.headers:
        response.headers.popall("Content-Type", None)
        response.headers.popall("Date", None)
