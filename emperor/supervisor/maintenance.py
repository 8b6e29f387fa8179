"""Which domains are in maintenance, and since when. A note keeps it for later daemons.

The note is kept by domain: a site stays in maintenance while its ini is away or cannot be served.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from emperor.model.lifecycle import Event
from emperor.model.ports import MaintenanceNote


@dataclass(frozen=True, slots=True)
class _Order:
    """An order for a domain, the time at which it was given, and whether it is written."""

    domain: str
    event: Event
    at: datetime
    written: asyncio.Future[None]


class Maintenance:
    """The operator begins and ends it. `now` tells the time of day."""

    def __init__(self, note: MaintenanceNote, now: Callable[[], datetime]) -> None:
        self._note = note
        self._now = now
        self._since = dict(note.read())
        # What was ordered and is not written yet, and the task that writes.
        self._waiting: list[_Order] = []
        self._writing: asyncio.Future[None] | None = None

    def since(self, domain: str) -> datetime | None:
        """When the maintenance of a domain began; None: it is not in maintenance."""
        return self._since.get(domain)

    def follow(self, domain: str, event: Event) -> None:
        """Write down what an order for `domain` changes. Raises OSError, and then nothing has
        changed."""
        since = _after(domain, event, self._now(), self._since)
        if since != self._since:
            self._note.write(since)
            self._since = since

    async def write_down(self, domain: str, event: Event) -> None:
        """Take in an event as `follow` does, and let the loop go on while the disk writes. Orders
        that come meanwhile are written together. Raises OSError."""
        now = self._now()
        if self._writing is None and _after(domain, event, now, self._since) == self._since:
            return
        order = _Order(domain, event, now, asyncio.get_running_loop().create_future())
        self._waiting.append(order)
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write_waiting())
        await order.written

    async def _write_waiting(self) -> None:
        while batch := self._waiting:
            self._waiting = []
            try:
                await asyncio.to_thread(self._note.write, self._after_all(batch))
            except Exception as error:
                # Also a fault of emperord: those who wait would wait for ever.
                for order in batch:
                    if not order.written.done():
                        order.written.set_exception(error)
            else:
                # `follow` may have changed others meanwhile.
                self._since = self._after_all(batch)
                for order in batch:
                    if not order.written.done():
                        order.written.set_result(None)
        self._writing = None

    def _after_all(self, batch: Iterable[_Order]) -> dict[str, datetime]:
        since = self._since
        for order in batch:
            since = _after(order.domain, order.event, order.at, since)
        return since

    def was_missed(self, domain: str, in_maintenance: bool) -> bool:
        """Whether the daemon before has noted an order to begin, and died before it was followed.
        `in_maintenance`: the record of the vassal says so. Without a note the record counts, and
        the next order writes it down."""
        if in_maintenance:
            self._since.setdefault(domain, self._now())
        return not in_maintenance and domain in self._since


def _after(
    domain: str, event: Event, now: datetime, since: dict[str, datetime]
) -> dict[str, datetime]:
    """Since when domains are in maintenance after an order of `now`."""
    if event is Event.MAINTENANCE_ON:
        return {domain: now} | since
    if event is Event.MAINTENANCE_OFF:
        return {name: began for name, began in since.items() if name != domain}
    return since
