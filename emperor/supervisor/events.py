"""What happened: one log line for each transition, a short memory, and live readers."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from emperor.model.cause import Cause
from emperor.model.lifecycle import Event, State
from emperor.model.log_fields import LogFields
from emperor.model.status import Level, TransitionEvent, reported
from emperor.supervisor.records import Occurrence, Vassal

log = logging.getLogger("emperord.events")

REMEMBERED = 100
# Of all tenants, for each of which the last hundred are kept at most.
_REMEMBERED_OF_TENANTS = 1000
_LOG_LEVEL = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING}


def transition_event(
    at: datetime, before: State, occurrence: Occurrence, detail: str, level: Level = Level.INFO
) -> TransitionEvent:
    """An event has just led a vassal from the state `before` to where it is now. The `seq` is 0
    until the event log has recorded it."""
    vassal = occurrence.vassal
    is_gone = vassal.state is State.REMOVED and not vassal.children
    event = TransitionEvent(
        seq=0,
        at=at,
        name=vassal.spec.domain,
        event=occurrence.event,
        before=reported(before),
        after=None if is_gone else reported(vassal.state),
        start_seconds=_start_seconds(vassal) if occurrence.event is Event.ACCEPTING else None,
        detail=detail,
        level=level,
        pid=_pid(occurrence),
        uid=vassal.spec.owner,
    )
    return _with_request(event, occurrence.cause) if event.event is Event.DEMAND else event


def _with_request(event: TransitionEvent, cause: Cause) -> TransitionEvent:
    """The event with the request that is its cause."""
    return replace(
        event,
        client=cause.client,
        request_id=cause.request,
        method=cause.method,
        path=cause.path,
        agent=cause.agent,
        traceparent=cause.traceparent,
    )


def _pid(occurrence: Occurrence) -> int | None:
    """The process that the event is about, or else the lead."""
    child = occurrence.child or occurrence.vassal.lead
    return child.process.pid if child else None


def _fields(event: TransitionEvent) -> LogFields:
    fields = LogFields(domain=event.name, event=event.event.value)
    if event.pid is not None:
        fields["pid"] = event.pid
    return fields


def _start_seconds(vassal: Vassal) -> float | None:
    """The seconds from the demand for the process that leads now until it accepted; None: it has
    not."""
    if vassal.lead is None or vassal.lead.boot.accepting is None:
        return None
    return round(vassal.lead.boot.accepting - vassal.lead.boot.cause.at, 4)


class EventLog:
    """Numbers each event, logs it, remembers it, and passes it on to the readers."""

    def __init__(self) -> None:
        self._last_seq = 0
        # A tenant's events have numbers of their own: gaps would tell what others do.
        self._last_seq_of: Counter[int | None] = Counter()
        self._recent: deque[TransitionEvent] = deque(maxlen=REMEMBERED)
        # The events of one tenant must not push out those of others.
        self._recent_of: dict[int | None, deque[TransitionEvent]] = {}
        self._kept = 0
        self._readers: set[Callable[[TransitionEvent], None]] = set()

    def record(self, event: TransitionEvent) -> None:
        """Log an event, and give it to all readers."""
        self._last_seq += 1
        self._last_seq_of[event.uid] += 1
        event = replace(event, seq=self._last_seq)
        log.log(
            _LOG_LEVEL[event.level],
            "%s: %s → %s: %s",
            event.name,
            event.before.value,
            event.after.value if event.after else "gone",
            event.detail or event.event.value,
            extra=_fields(event),
        )
        self._remember(event)
        for reader in tuple(self._readers):
            try:
                reader(event)
            except Exception:
                # The transition goes on, and the other readers are told.
                log.exception("cannot tell a reader of an event: a fault in emperord")

    def _remember(self, event: TransitionEvent) -> None:
        self._recent.append(event)
        own = self._recent_of.setdefault(event.uid, deque())
        own.append(event)
        self._kept += 1
        if len(own) > REMEMBERED or self._kept > _REMEMBERED_OF_TENANTS:
            tenant = max(self._recent_of, key=lambda uid: len(self._recent_of[uid]))
            self._recent_of[tenant].popleft()
            self._kept -= 1
            if not self._recent_of[tenant]:
                del self._recent_of[tenant]

    def recent(self, tenant: int | None = None) -> tuple[TransitionEvent, ...]:
        """The last hundred, oldest first. For a tenant, its own last hundred, or fewer where there
        are many tenants, with numbers of its own."""
        if tenant is None:
            return tuple(self._recent)
        own = self._recent_of.get(tenant, ())
        first = self._last_seq_of[tenant] - len(own) + 1
        return tuple(replace(event, seq=first + place) for place, event in enumerate(own))

    def recent_of(self, domains: Collection[str]) -> tuple[TransitionEvent, ...]:
        """The last ones of these domains, oldest first: as many as their tenants would see."""
        kept = (event for events in self._recent_of.values() for event in events)
        return tuple(sorted((e for e in kept if e.name in domains), key=lambda event: event.seq))

    def numbered_for(self, tenant: int | None, event: TransitionEvent) -> TransitionEvent:
        """The event that has just been recorded, with its number for the tenant whose it is; None:
        for administrators."""
        return event if tenant is None else replace(event, seq=self._last_seq_of[tenant])

    @contextmanager
    def reader(self, read: Callable[[TransitionEvent], None]) -> Iterator[None]:
        """Call `read` with every event until the block is left."""
        self._readers.add(read)
        try:
            yield
        finally:
            self._readers.discard(read)
