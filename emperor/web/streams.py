"""Streams of events: GET /v1/events of the control API."""

import asyncio
import json
from collections.abc import Collection
from contextlib import suppress

from emperor.model.authority import Caller
from emperor.model.status import TransitionEvent, as_json
from emperor.supervisor.events import REMEMBERED, EventLog
from emperor.web.aiohttp_server import web
from emperor.web.problems import number

_UNREAD_EVENTS = 1000


class Streams:
    """Every stream that somebody reads."""

    def __init__(self, event_log: EventLog) -> None:
        self._event_log = event_log
        self._streams: set[asyncio.Queue[TransitionEvent | None]] = set()

    async def answer(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Events as JSON lines: the remembered ones, with `?past=N` the last N of them, then each
        new one unless `follow=0`. With `domain=D`, only those of D."""
        past, follows = number(request, "past", REMEMBERED), request.query.get("follow") != "0"
        domains = frozenset(request.query.getall("domain", []))
        queue: asyncio.Queue[TransitionEvent | None] = asyncio.Queue(_UNREAD_EVENTS)

        tenant = None if caller.is_administrator else caller.uid

        def read(event: TransitionEvent) -> None:
            if not caller.sees(event.uid):
                return
            event = self._event_log.numbered_for(tenant, event)
            # A slow reader must not cost memory without end: it loses events, and sees it by `seq`.
            if _concerns(event, domains) and not queue.full():
                queue.put_nowait(event)

        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with self._event_log.reader(read):
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
                    while new_event := await queue.get():
                        # In ASCII: text of an app must not steer a terminal that shows it.
                        await response.write(json.dumps(as_json(new_event)).encode() + b"\n")
            finally:
                self._streams.discard(queue)
        return response

    def end(self) -> None:
        """End all streams."""
        for queue in self._streams:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)


def _concerns(event: TransitionEvent, domains: Collection[str]) -> bool:
    return not domains or event.name in domains
