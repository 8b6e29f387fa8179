"""What happened: one log line for each transition, a short memory, and whoever listens live."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from emperor.model.lifecycle import Event, State
from emperor.model.status import TransitionEvent
from emperor.supervisor.records import Vassal

log = logging.getLogger("emperord")

REMEMBERED = 100


def happening(vassal: Vassal, before: State, event: Event, detail: str) -> TransitionEvent:
    """That `event` has just led a vassal from the state `before` to where it is now."""
    return TransitionEvent(
        at=datetime.now(UTC),
        name=vassal.spec.domain,
        event=event.value,
        before=before.value,
        after=vassal.state.value,
        detail=detail,
    )


class EventLog:
    """Takes each happening once; logs it, remembers it, and passes it on."""

    def __init__(self) -> None:
        self._recent: deque[TransitionEvent] = deque(maxlen=REMEMBERED)
        self._readers: set[Callable[[TransitionEvent], None]] = set()

    def record(self, happening: TransitionEvent, worrying: bool = False) -> None:
        """Log one line, at WARNING where an administrator should look."""
        log.log(
            logging.WARNING if worrying else logging.INFO,
            "%s: %s → %s: %s",
            happening.name,
            happening.before,
            happening.after,
            happening.detail or happening.event,
        )
        self._recent.append(happening)
        for reader in tuple(self._readers):
            reader(happening)

    def recent(self) -> tuple[TransitionEvent, ...]:
        """The last hundred, oldest first."""
        return tuple(self._recent)

    @contextmanager
    def reader(self, read: Callable[[TransitionEvent], None]) -> Iterator[None]:
        """Call `read` with every happening until the block is left."""
        self._readers.add(read)
        try:
            yield
        finally:
            self._readers.discard(read)
