"""Makes vassals of the records that an earlier daemon has saved."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from emperor.model.log_fields import about
from emperor.model.ports import Launcher, Listeners, ProcessEvents, StoreEntry
from emperor.model.snapshot import FdKind, ProcessRecord, Stale, VassalRecord
from emperor.supervisor.records import Child, Vassal

log = logging.getLogger("emperord.restore")


@dataclass(frozen=True, slots=True)
class SavedVassal:
    """The record of one vassal with its descriptors, each of which belongs to the new daemon."""

    record: VassalRecord
    fds: Sequence[int]

    @property
    def domain(self) -> str:
        """The vassal's domain."""
        return self.record.spec.domain


def saved_vassals(
    entries: Iterable[StoreEntry],
    decode: Callable[[bytes], VassalRecord],
    is_of_kind: Callable[[int, FdKind], bool],
) -> list[SavedVassal]:
    """The vassals of the entries. `is_of_kind` looks at a descriptor.

    Entries that this version cannot read are left out, with one warning. The caller closes their
    descriptors: the sockets are bound anew, and the processes end with their pipes.
    """
    read: list[SavedVassal] = []
    stale: dict[str, Stale] = {}
    for entry in entries:
        try:
            read.append(_saved_vassal(entry, decode, is_of_kind))
        except Stale as error:
            stale[entry.key] = error
    if stale:
        domain, cause = next(iter(stale.items()))
        log.warning(
            "cannot go on with %d vassals of an earlier emperord, which start anew: %s: %s",
            len(stale), domain, cause,
        )  # fmt: skip
    return read


def _saved_vassal(
    entry: StoreEntry,
    decode: Callable[[bytes], VassalRecord],
    is_of_kind: Callable[[int, FdKind], bool],
) -> SavedVassal:
    """The vassal of one entry. Raises Stale."""
    record = decode(entry.payload)
    if record.spec.domain != entry.key:
        raise Stale(f"it says that it is of {record.spec.domain}")
    kinds = record.descriptors
    if len(kinds) != len(entry.fds):
        raise Stale(f"it speaks of {len(kinds)} descriptors and has {len(entry.fds)}")
    if not all(map(is_of_kind, entry.fds, kinds)):
        raise Stale("its descriptors are not what it says")
    return SavedVassal(record, entry.fds)


@dataclass(frozen=True, slots=True)
class Restorer:
    """Goes on with saved vassals: adopts their sockets and processes, which report to `events`."""

    listeners: Listeners
    launchers: Mapping[str, Launcher]
    events: ProcessEvents

    def vassals(self, saved: Iterable[SavedVassal]) -> list[Vassal]:
        """The vassals, each in the state in which it was saved. Their timers are not set, and their
        listeners are not watched. Vassals in the boot queue are last, in its order. A vassal is
        left out where a fault of emperord keeps it from being restored."""
        vassals: list[Vassal] = []
        for each in saved:
            try:
                vassals.append(self._vassal(each))
            except Exception:
                # Its descriptors stay open: some may be an object's by now, which would close them.
                log.exception(
                    "cannot go on with %s: a fault in emperord",
                    each.domain,
                    extra=about(each.domain),
                )
        vassals.sort(key=lambda vassal: vassal.queued_for.at if vassal.queued_for else 0.0)
        return vassals

    def _vassal(self, saved: SavedVassal) -> Vassal:
        record, fds = saved.record, iter(saved.fds)
        ref = record.listener_ref
        listener = self.listeners.adopt(record.spec, ref, next(fds) if ref else -1)
        vassal = Vassal(record, listener)
        vassal.lead = self._child(record.lead, vassal, fds)
        vassal.second = self._child(record.second, vassal, fds)
        # What is told of the last boot goes on with that of the process it belongs to.
        boots = [child.boot for child in vassal.children if child.boot == vassal.last_boot]
        vassal.last_boot = next(iter(boots), vassal.last_boot)
        return vassal

    def _child(
        self, record: ProcessRecord | None, vassal: Vassal, fds: Iterator[int]
    ) -> Child | None:
        if record is None:
            return None
        held = [next(fds)] if record.ref.pid is None else [next(fds), next(fds)]
        launcher = self.launchers[record.ref.runtime]
        process = launcher.adopt(record.spec, record.ref, held, record.generation, self.events)
        if process is None:
            # The earlier daemon died before it had spawned it: its cause still wants a process.
            vassal.queued_for = record.boot.cause
            return None
        return Child(record, process)
