"""Keeps the record of each vassal for the daemon that comes after this one.

The governor saves a vassal at the end of each event, and once more between making a process's pipe
and spawning the process. Until then the kernel repeats whatever moves a vassal: a byte stays in its
pipe, an exit in its pidfd, a connection in its queue, a deadline in the entry before. So a daemon
that dies between two events has forgotten nothing.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from emperor.model.log_fields import about
from emperor.model.ports import CannotKeep, Store, StoreEntry
from emperor.model.snapshot import encode
from emperor.supervisor.records import Vassal

log = logging.getLogger("emperord.checkpoint")


class Checkpoint:
    """Writes records into a store, which keeps the newest entry of each domain."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._missing: set[str] = set()
        self._is_tidying = False
        # What the store has of each vassal with a process. All of thousands that sleep would take
        # megabytes.
        self._kept: dict[str, StoreEntry] = {}
        # The vassals to write at the end of the batch; None: its entry is to be deleted.
        self._batch: dict[str, Vassal | None] | None = None

    @property
    def missing(self) -> frozenset[str]:
        """The domains of which the store has no entry, or an old one."""
        return frozenset(self._missing)

    def save(self, vassal: Vassal) -> None:
        """Write the vassal's record as it is now."""
        # Without a process, a crash loses only a socket that was bound a moment ago.
        if self._batch is not None and not vassal.children:
            self._batch[vassal.spec.domain] = vassal
        else:
            if self._batch is not None:
                self._batch.pop(vassal.spec.domain, None)
            self._write({vassal.spec.domain: vassal})

    def delete(self, domain: str) -> None:
        """Drop the record of a vassal that is gone."""
        # A crash before the end of a batch brings the vassal back, and its ini is still gone.
        if self._batch is not None:
            self._batch[domain] = None
        else:
            self._write({domain: None})

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Write the vassals without a process that the block saves or deletes together, in few
        messages."""
        self._batch = {}
        try:
            yield
        finally:
            batch, self._batch = self._batch, None
            if batch:
                self._write(batch)

    def tidy_soon(self) -> None:
        """Have the store drop what is outdated, in steps between which the loop has a turn."""
        if not self._is_tidying:
            self._is_tidying = True
            asyncio.get_running_loop().call_soon(self._tidy)

    def _tidy(self) -> None:
        self._is_tidying = False
        if self._store.tidy():
            self.tidy_soon()

    def retry(self, vassals: Iterable[Vassal]) -> None:
        """Save the missing vassals once more."""
        for vassal in vassals:
            if vassal.spec.domain in self._missing:
                self.save(vassal)

    def _write(self, vassals: Mapping[str, Vassal | None]) -> None:
        entries = []
        for domain, vassal in vassals.items():
            try:
                entry = _entry(vassal) if vassal else StoreEntry(domain)
                if entry != self._kept.pop(domain, None) or domain in self._missing:
                    entries.append(entry)
                if vassal and vassal.children:
                    self._kept[domain] = entry
            except Exception:
                # A record that cannot be encoded must not cost the others theirs.
                log.exception(
                    "cannot keep the state of %s: a fault in emperord", domain, extra=about(domain)
                )
                self._missing.add(domain)
        if entries:
            self._write_entries(entries)

    def _write_entries(self, entries: list[StoreEntry]) -> None:
        failed: frozenset[str] = frozenset()
        try:
            self._store.write(entries)
        except CannotKeep as error:
            failed = error.keys
            if not self._missing:
                log.warning("%s; a crash of emperord would cost its running processes", error)
        self._missing -= {entry.key for entry in entries}
        self._missing |= failed


def _entry(vassal: Vassal) -> StoreEntry:
    fds = [vassal.listener.fd] if vassal.listener.fd >= 0 else []
    for child in vassal.children:
        fds += child.process.fds
    # It is in the record only now: 10,000 of them would take half a megabyte.
    vassal.listener_ref = vassal.listener.ref if vassal.listener.fd >= 0 else None
    try:
        return StoreEntry(vassal.spec.domain, encode(vassal), tuple(fds))
    finally:
        vassal.listener_ref = None
