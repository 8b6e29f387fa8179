"""Has one event after the other handled to its end: what comes up meanwhile waits.

A fault of emperord ends the event in which it happens, and leaves the other events alone.
"""

from collections import deque
from collections.abc import Callable, Sequence

from emperor.supervisor.records import Occurrence, Vassal


class EventQueue:
    """The events of all vassals. `take` handles one, and returns the event that follows with
    nothing in between, if there is one. `due` tells what should happen when no event waits.
    `failed` is told of the vassal of an event that a fault has ended, while its exception is
    handled."""

    def __init__(
        self,
        take: Callable[[Occurrence], Occurrence | None],
        due: Callable[[], Sequence[Occurrence]],
        failed: Callable[[Vassal], None],
    ) -> None:
        self._take = take
        self._due = due
        self._failed = failed
        self._waiting: deque[Occurrence] = deque()
        self._is_running = False

    def handle(self, occurrence: Occurrence) -> list[Vassal]:
        """Take an event to its end: now, or after the event that is being handled. Returns the
        vassals in which a fault has ended an event."""
        self._waiting.append(occurrence)
        return self.run()

    def run(self) -> list[Vassal]:
        """Handle all events that wait, and what is due. Returns the vassals in which a fault has
        ended an event."""
        faulty: list[Vassal] = []
        if self._is_running:
            return faulty
        self._is_running = True
        try:
            while occurrence := self._next():
                try:
                    if next_up := self._take(occurrence):
                        self._waiting.appendleft(next_up)
                except Exception:
                    faulty.append(occurrence.vassal)
                    self._failed(occurrence.vassal)
        finally:
            self._is_running = False
        return faulty

    def _next(self) -> Occurrence | None:
        if not self._waiting:
            self._waiting += self._due()
        return self._waiting.popleft() if self._waiting else None
