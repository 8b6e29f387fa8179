"""Fakes of what outlasts a daemon: its records, its note of maintenance, its events."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from emperor.model.ports import CannotKeep, StoreEntry
from emperor.model.status import Level, TransitionEvent
from tests.supervisor.action_log import ActionLog


class FakeStore:
    """Keeps entries beyond a crash, as the bag does."""

    def __init__(self, actions: ActionLog) -> None:
        self.actions = actions
        self.entries: dict[str, StoreEntry] = {}
        self.problem: str | None = None
        self.writes = 0

    def write(self, entries: Iterable[StoreEntry]) -> None:
        with self.actions.step():
            self.writes += 1
            written = {entry.key: entry for entry in entries}
            if self.problem:
                raise CannotKeep(self.problem, written.keys())
            self.entries |= written

    def tidy(self) -> bool:
        """Drop one deleted entry."""
        deleted = [key for key, entry in self.entries.items() if not entry.payload]
        if deleted:
            del self.entries[deleted[0]]
        return len(deleted) > 1

    @property
    def left(self) -> list[StoreEntry]:
        """The entries that the next daemon finds."""
        return [entry for entry in self.entries.values() if entry.payload]


class FakeNote:
    """Which domains are in maintenance, beyond the end of a daemon."""

    def __init__(self) -> None:
        self.kept: Mapping[str, datetime] = {}
        self.problem: Exception | None = None

    def read(self) -> Mapping[str, datetime]:
        return self.kept

    def write(self, domains: Mapping[str, datetime]) -> None:
        if self.problem:
            raise self.problem
        self.kept = dict(domains)


class FakeRecorder:
    """Keeps the recorded events; with a `fault` it raises that."""

    def __init__(self) -> None:
        self.events: list[TransitionEvent] = []
        self.fault: Exception | None = None

    @property
    def warnings(self) -> list[TransitionEvent]:
        return [event for event in self.events if event.level is Level.WARNING]

    def record(self, event: TransitionEvent) -> None:
        if self.fault:
            raise self.fault
        self.events.append(event)
