"""Which domains are in maintenance, and since when. A note keeps it for later daemons.

The note is kept by domain: a site stays in maintenance while its ini is away or cannot be served.
"""

from collections.abc import Callable
from datetime import datetime

from emperor.model.lifecycle import Event
from emperor.model.ports import MaintenanceNote


class Maintenance:
    """The operator begins and ends it. `now` tells the time of day."""

    def __init__(self, note: MaintenanceNote, now: Callable[[], datetime]) -> None:
        self._note = note
        self._now = now
        self._since = dict(note.read())

    def since(self, domain: str) -> datetime | None:
        """When the maintenance of a domain began; None: it is not in maintenance."""
        return self._since.get(domain)

    def follow(self, domain: str, event: Event) -> None:
        """Write down what an order for `domain` changes. Raises OSError, and then nothing has
        changed."""
        since = dict(self._since)
        if event is Event.MAINTENANCE_ON:
            since.setdefault(domain, self._now())
        elif event is Event.MAINTENANCE_OFF:
            since.pop(domain, None)
        if since != self._since:
            self._note.write(since)
            self._since = since

    def was_missed(self, domain: str, in_maintenance: bool) -> bool:
        """Whether the daemon before has noted an order to begin, and died before it was followed.
        `in_maintenance`: the record of the vassal says so. Without a note the record counts, and
        the next order writes it down."""
        if in_maintenance:
            self._since.setdefault(domain, self._now())
        return not in_maintenance and domain in self._since
