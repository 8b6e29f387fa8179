"""Makes vassals of the snapshots that an earlier daemon has kept."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from emperor.model.ports import Launcher, Listener, Listeners, ProcessEvents, StoreEntry
from emperor.model.snapshot import ChildSnapshot, Kind, Snapshot, Stale, decode
from emperor.supervisor.records import Child, Vassal

log = logging.getLogger("emperord")


@dataclass(frozen=True, slots=True)
class SavedVassal:
    """One vassal as it was kept, with its descriptors, each of which belongs to the heir."""

    snapshot: Snapshot
    fds: Sequence[int]

    @property
    def domain(self) -> str:
        """Whose it is."""
        return self.snapshot.spec.domain


def saved_vassals(
    words: Iterable[StoreEntry], is_of_kind: Callable[[int, Kind], bool]
) -> list[SavedVassal]:
    """What the words about vassals say. `is_of_kind` looks at their descriptors. Those that this
    version cannot read are set aside, with one warning: their sockets are to be bound anew, and
    their processes end with their pipes."""
    read: list[SavedVassal] = []
    stale: dict[str, Stale] = {}
    for word in words:
        try:
            read.append(_legacy(word, is_of_kind))
        except Stale as error:
            stale[word.key] = error
            for fd in word.fds:
                os.close(fd)
    if stale:
        domain, cause = next(iter(stale.items()))
        log.warning(
            "cannot go on with %d vassals of an earlier emperord, which start anew: %s: %s",
            len(stale), domain, cause,
        )  # fmt: skip
    return read


def _legacy(word: StoreEntry, is_of_kind: Callable[[int, Kind], bool]) -> SavedVassal:
    """What one word says. Raises Stale."""
    snapshot = decode(word.payload)
    if snapshot.spec.domain != word.key:
        raise Stale(f"it says that it is of {snapshot.spec.domain}")
    kinds = snapshot.descriptors
    if len(kinds) != len(word.fds):
        raise Stale(f"it speaks of {len(kinds)} descriptors and has {len(word.fds)}")
    if not all(map(is_of_kind, word.fds, kinds)):
        raise Stale("its descriptors are not what it says")
    return SavedVassal(snapshot, word.fds)


@dataclass(frozen=True, slots=True)
class Restorer:
    """Who goes on with vassals: adopts their sockets and processes for `events`."""

    listeners: Listeners
    launcher: Launcher
    events: ProcessEvents

    def vassals(self, saved_vassals: Iterable[SavedVassal]) -> list[Vassal]:
        """The vassals, in the states that they were kept in. Their timers are not set, and their
        listeners are not watched. Those in line for their turn to boot are last, in its order. One
        that a fault of ours keeps from being made is left out."""
        vassals: list[Vassal] = []
        for legacy in saved_vassals:
            try:
                vassals.append(self._vassal(legacy))
            except Exception:
                # Its descriptors stay open: some may be an object's by now, which would close them.
                log.exception("cannot go on with %s: a fault in emperord", legacy.domain)
        vassals.sort(key=lambda vassal: vassal.queued_for.at if vassal.queued_for else 0.0)
        return vassals

    def _vassal(self, legacy: SavedVassal) -> Vassal:
        snapshot, fds = legacy.snapshot, iter(legacy.fds)
        listener = self.listeners.adopt(
            snapshot.spec, snapshot.listener, next(fds) if snapshot.listener else -1
        )
        vassal = self._childless(snapshot, listener)
        vassal.lead = self._child(snapshot.lead, vassal, fds)
        vassal.second = self._child(snapshot.second, vassal, fds)
        # What is told of the last boot goes on with that of the process it belongs to.
        boots = [child.boot for child in vassal.children if child.boot == vassal.last_boot]
        vassal.last_boot = next(iter(boots), vassal.last_boot)
        return vassal

    def _childless(self, snapshot: Snapshot, listener: Listener) -> Vassal:
        return Vassal(
            spec=snapshot.spec,
            listener=listener,
            since=snapshot.since,
            stamp=snapshot.stamp,
            state=snapshot.state,
            pending_event=snapshot.pending_event,
            queued_for=snapshot.queued_for,
            retry_at=snapshot.retry_at,
            starts=snapshot.starts,
            consecutive_failures=snapshot.consecutive_failures,
            last_error=snapshot.last_error,
            last_hit=snapshot.last_hit,
            last_boot=snapshot.last_boot,
            last_stop=snapshot.last_stop,
        )

    def _child(
        self, kept: ChildSnapshot | None, vassal: Vassal, fds: Iterator[int]
    ) -> Child | None:
        if kept is None:
            return None
        spec = kept.spec or vassal.spec
        held = [next(fds)] if kept.process.pid is None else [next(fds), next(fds)]
        process = self.launcher.adopt(spec, kept.process, held, kept.generation, self.events)
        if process is None:
            # The earlier daemon died before it had spawned it: who wanted it still does.
            vassal.queued_for = kept.boot.cause
            return None
        return Child(
            generation=kept.generation,
            spec=spec,
            process=process,
            boot=kept.boot,
            role=kept.role,
            deadline=kept.deadline,
            kill_reason=kept.kill_reason,
            respawns=kept.respawns,
        )
