"""Keeps what is known of each vassal for the process that comes after this one.

The governor says so at the end of each event, when the vassal is in order, and the stage once more
between making a process's pipe and spawning it. All that moves a vassal is told again until then: a
byte stays in its pipe, an exit in its pidfd, a connection in its queue, a deadline in the word
before. So a daemon that dies in between has forgotten nothing.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from emperor.model.ports import CannotKeep, Store, StoreEntry
from emperor.model.snapshot import ChildSnapshot, Snapshot, encode
from emperor.model.spec import Spec
from emperor.supervisor.records import Child, Vassal

log = logging.getLogger("emperord")


class Checkpoint:
    """Writes words about vassals into a store, which keeps the newest of each domain."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._missing: set[str] = set()
        self._batch: dict[str, Vassal] | None = None

    @property
    def missing(self) -> frozenset[str]:
        """The domains of which the store has no word, or an old one."""
        return frozenset(self._missing)

    def save(self, vassal: Vassal) -> None:
        """Write down how it is now."""
        # Without a process there is nothing to miss but a socket that was bound a moment ago.
        if self._batch is not None and not vassal.children:
            self._batch[vassal.spec.domain] = vassal
        else:
            self._write([_entry(vassal)])

    def delete(self, domain: str) -> None:
        """There is no such vassal any more."""
        if self._batch is not None:
            self._batch.pop(domain, None)
        self._write([StoreEntry(domain)])

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Write down those that the block keeps, and that have no process, in few messages."""
        self._batch = {}
        try:
            yield
        finally:
            gathered, self._batch = self._batch, None
            if gathered:
                self._write([_entry(vassal) for vassal in gathered.values()])

    def retry(self, vassals: Iterable[Vassal]) -> None:
        """Write down those that are missing, once more."""
        for vassal in vassals:
            if vassal.spec.domain in self._missing:
                self.save(vassal)

    def _write(self, words: list[StoreEntry]) -> None:
        failed: frozenset[str] = frozenset()
        try:
            self._store.write(words)
        except CannotKeep as error:
            failed = error.keys
            if not self._missing:
                log.warning("%s; a crash of emperord would cost its running processes", error)
        self._missing -= {word.key for word in words}
        self._missing |= failed


def _entry(vassal: Vassal) -> StoreEntry:
    fds = [vassal.listener.fd] if vassal.listener.fd >= 0 else []
    for child in vassal.children:
        fds += child.process.fds
    return StoreEntry(vassal.spec.domain, encode(snapshot_of(vassal)), tuple(fds))


def snapshot_of(vassal: Vassal) -> Snapshot:
    """All of it that another process must know."""
    return Snapshot(
        spec=vassal.spec,
        stamp=vassal.stamp,
        listener=vassal.listener.mark if vassal.listener.fd >= 0 else None,
        state=vassal.state,
        since=vassal.since,
        lead=_child(vassal.lead, vassal.spec) if vassal.lead else None,
        second=_child(vassal.second, vassal.spec) if vassal.second else None,
        pending_event=vassal.pending_event,
        queued_for=vassal.queued_for,
        retry_at=vassal.retry_at,
        starts=vassal.starts,
        consecutive_failures=vassal.consecutive_failures,
        last_error=vassal.last_error,
        last_hit=vassal.last_hit,
        last_boot=vassal.last_boot,
        last_stop=vassal.last_stop,
    )


def _child(child: Child, spec: Spec) -> ChildSnapshot:
    return ChildSnapshot(
        generation=child.generation,
        process=child.process.mark,
        role=child.role,
        boot=child.boot,
        spec=None if child.spec is spec else child.spec,
        deadline=child.deadline,
        kill_reason=child.kill_reason,
        respawns=child.respawns,
    )
