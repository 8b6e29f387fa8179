"""Streams of events: GET /v1/events of the control API, and the events of the console."""

import asyncio
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from emperor.model.authority import Caller
from emperor.model.status import TransitionEvent, as_json
from emperor.supervisor.events import REMEMBERED, EventLog
from emperor.supervisor.subscribers import Subscribers
from emperor.web.aiohttp_server import web
from emperor.web.problems import number

_UNREAD_EVENTS = 1000
# A proxy closes a connection on which nothing comes for a minute.
_ALIVE_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Form:
    """How a stream is written: its headers, the bytes of an event, what is sent where nothing has
    happened for a while, to keep the connection, and what tells with `log=1` that the app has
    printed; empty: nothing."""

    headers: Mapping[str, str]
    write: Callable[[TransitionEvent], bytes]
    alive: bytes = b""
    printed: bytes = b""


class _Printed(Enum):
    """What is in a queue beside events: the log has grown."""

    YES = 1


Queue = asyncio.Queue[TransitionEvent | _Printed | None]


def _as_line(event: TransitionEvent) -> bytes:
    # In ASCII: text of an app must not steer a terminal that shows it.
    return json.dumps(as_json(event)).encode() + b"\n"


def _as_message(event: TransitionEvent) -> bytes:
    return b"data: " + _as_line(event) + b"\n"


JSON_LINES = Form(MappingProxyType({"Content-Type": "application/x-ndjson"}), _as_line)
# https://html.spec.whatwg.org/multipage/server-sent-events.html: a line with a colon in front is a
# comment.
SERVER_SENT = Form(
    MappingProxyType({"Content-Type": "text/event-stream"}),
    _as_message,
    alive=b":\n\n",
    printed=b"event: printed\ndata: 1\n\n",
)


class Streams:
    """Every stream that somebody reads. `printed` tells that the app of a domain has printed, and
    `reads` whether a caller may read its log now."""

    def __init__(
        self, event_log: EventLog, printed: Subscribers, reads: Callable[[str, Caller], bool]
    ) -> None:
        self._event_log = event_log
        self._printed = printed
        self._reads = reads
        self._streams: set[Queue] = set()

    async def answer(self, request: web.Request, caller: Caller, form: Form) -> web.StreamResponse:
        """Events in that form: the remembered ones, with `?past=N` the last N of them, then each
        new one unless `follow=0`. With `domain=D`, only those of D."""
        past, follows = number(request, "past", REMEMBERED), request.query.get("follow") != "0"
        domains = frozenset(request.query.getall("domain", []))
        queue: Queue = asyncio.Queue(_UNREAD_EVENTS)
        of_log = domains if form.printed and request.query.get("log") == "1" else ()

        tenant = None if caller.is_administrator else caller.uid

        def read(event: TransitionEvent) -> None:
            if not caller.sees(event.uid):
                return
            event = self._event_log.numbered_for(tenant, event)
            # A slow reader must not cost memory without end: it loses events, and sees it by `seq`.
            if _concerns(event, domains) and not queue.full():
                queue.put_nowait(event)

        response = web.StreamResponse(headers=form.headers)
        with self._event_log.reader(read), self._told_of_logs(of_log, caller, queue):
            recent = self._event_log.recent(tenant)
            if caller.is_administrator and domains:
                recent = self._event_log.recent_of(domains)
            remembered = [
                each for each in recent if caller.sees(each.uid) and _concerns(each, domains)
            ]
            for event in remembered[max(0, len(remembered) - past) :]:
                queue.put_nowait(event)
            if not follows:
                queue.put_nowait(None)
            await response.prepare(request)
            self._streams.add(queue)
            try:
                # A reader that leaves is no fault.
                with suppress(ConnectionError):
                    await response.write(form.alive)
                    while data := await _next(queue, form):
                        await response.write(data)
            finally:
                self._streams.discard(queue)
        return response

    @contextmanager
    def _told_of_logs(
        self, domains: Collection[str], caller: Caller, queue: Queue
    ) -> Iterator[None]:
        """Have `queue` told when these apps print, in one entry for all until that is sent."""
        with ExitStack() as stack:
            for domain in domains:

                def tell(domain: str = domain) -> None:
                    if queue.empty() and self._reads(domain, caller):
                        queue.put_nowait(_Printed.YES)

                self._printed.add(domain, tell)
                stack.callback(self._printed.remove, domain, tell)
            yield

    def end(self) -> None:
        """End all streams."""
        for queue in self._streams:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)


async def _next(queue: Queue, form: Form) -> bytes:
    """What is sent next; empty: the stream ends."""
    try:
        async with asyncio.timeout(_ALIVE_SECONDS if form.alive else None):
            event = await queue.get()
    except TimeoutError:
        return form.alive
    if isinstance(event, _Printed):
        return form.printed
    return form.write(event) if event else b""


def _concerns(event: TransitionEvent, domains: Collection[str]) -> bool:
    return not domains or event.name in domains
