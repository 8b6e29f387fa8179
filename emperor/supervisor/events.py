"""What happened: one log line for each transition, a short memory, and live readers."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from emperor.model.lifecycle import State
from emperor.model.log_fields import LogFields
from emperor.model.status import Level, TransitionEvent
from emperor.supervisor.records import Occurrence

log = logging.getLogger("emperord.events")

REMEMBERED = 100
_LOG_LEVEL = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING}


def transition_event(
    at: datetime, before: State, occurrence: Occurrence, detail: str
) -> TransitionEvent:
    """An event has just led a vassal from the state `before` to where it is now."""
    lead = occurrence.vassal.lead
    return TransitionEvent(
        at=at,
        name=occurrence.vassal.spec.domain,
        event=occurrence.event.value,
        before=before.value,
        after=occurrence.vassal.state.value,
        detail=detail,
        level=occurrence.level,
        pid=lead.process.pid if lead else None,
    )


def _fields(event: TransitionEvent) -> LogFields:
    fields = LogFields(domain=event.name, event=event.event)
    if event.pid is not None:
        fields["pid"] = event.pid
    return fields


class EventLog:
    """Takes each event once; logs it, remembers it, and passes it on."""

    def __init__(self) -> None:
        self._recent: deque[TransitionEvent] = deque(maxlen=REMEMBERED)
        self._readers: set[Callable[[TransitionEvent], None]] = set()

    def record(self, event: TransitionEvent) -> None:
        """Log one line."""
        log.log(
            _LOG_LEVEL[event.level],
            "%s: %s → %s: %s",
            event.name,
            event.before,
            event.after,
            event.detail or event.event,
            extra=_fields(event),
        )
        self._recent.append(event)
        for reader in tuple(self._readers):
            reader(event)

    def recent(self) -> tuple[TransitionEvent, ...]:
        """The last hundred, oldest first."""
        return tuple(self._recent)

    @contextmanager
    def reader(self, read: Callable[[TransitionEvent], None]) -> Iterator[None]:
        """Call `read` with every event until the block is left."""
        self._readers.add(read)
        try:
            yield
        finally:
            self._readers.discard(read)
