"""Keeps bases for the next daemon, and finds those that an earlier one has kept."""

import logging
import os
import select
import signal
import socket
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass

from emperor.bases.base_process import Held
from emperor.bases.kept_base import Condition, KeptBase, decode, encode, key_of
from emperor.linux.fd_kinds import is_of_kind
from emperor.linux.proc import state_of
from emperor.model.ports import CannotKeep, Store, StoreEntry
from emperor.model.snapshot import FdKind, Stale

log = logging.getLogger("emperord.kept_bases")

_KINDS = (FdKind.SOCKET, FdKind.PIDFD)
_STOPPED = ("T", "t")
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT


@dataclass(frozen=True, slots=True)
class FoundBase:
    """A base that an earlier daemon has kept, with the descriptors that hold it."""

    kept: KeptBase
    condition: Condition
    control: socket.socket
    pidfd: int

    @property
    def held(self) -> Held:
        """The base, as the daemon that goes on with it needs it."""
        kept = self.kept
        is_child = self.condition.is_child
        return Held(kept.pid, self.control, self.pidfd, is_child, kept.imported, kept.forks)

    def end(self) -> None:
        """Kill it, and let it go."""
        self.kill()
        self.control.close()
        os.close(self.pidfd)

    def kill(self) -> None:
        """Kill the base."""
        _kill(self.pidfd)


class KeptBases:
    """The bases of this daemon among the entries of a store. None is kept before there is one."""

    def __init__(self) -> None:
        self._store: Store | None = None
        self._keys: set[str] = set()

    def keep(self, base: KeptBase, control: int, pidfd: int) -> None:
        """Keep it with these descriptors, or what it is now in the place of what it was."""
        data = encode(base)
        if self._store is None or data is None:
            return
        try:
            self._store.write([StoreEntry(base.key, data, (control, pidfd))])
            self._keys.add(base.key)
        except CannotKeep as error:
            log.info("%s; that base ends with emperord", error)

    def forget(self, pid: int) -> None:
        """Drop it: it ends, or has ended."""
        if key_of(pid) in self._keys:
            self._keys.discard(key_of(pid))
            self._drop([key_of(pid)])

    def take(self, store: Store, entries: Iterable[StoreEntry]) -> list[FoundBase]:
        """The bases that an earlier daemon has kept there, by their entries. What this version
        cannot read is ended."""
        self._store = store
        found, unreadable = [], []
        for entry in entries:
            try:
                found.append(_found(entry))
                self._keys.add(entry.key)
            except Stale as error:
                log.info("cannot go on with a base of an earlier emperord: %s", error)
                unreadable.append(entry.key)
                for fd in entry.fds:
                    _kill(fd)
                    os.close(fd)
        self._drop(unreadable)
        return found

    def _drop(self, keys: Collection[str]) -> None:
        if self._store is not None and keys:
            with suppress(CannotKeep):  # the next daemon finds that it has ended
                self._store.write([StoreEntry(key) for key in keys])


def _found(entry: StoreEntry) -> FoundBase:
    """The base of that entry. Raises Stale."""
    kept = decode(entry.payload)
    if kept.key != entry.key:
        raise Stale(f"it says that it is {kept.pid}")
    if len(entry.fds) != len(_KINDS) or not all(map(is_of_kind, entry.fds, _KINDS)):
        raise Stale("its descriptors are not what they should be")
    control, pidfd = entry.fds
    return FoundBase(kept, _condition(kept.pid, pidfd), socket.socket(fileno=control), pidfd)


def _condition(pid: int, pidfd: int) -> Condition:
    """The number is its own as long as it lives."""
    is_stopped = state_of(pid) in _STOPPED
    try:
        is_alive, is_child = os.waitid(os.P_PIDFD, pidfd, _LOOK) is None, True
    except ChildProcessError:
        is_alive, is_child = not is_over(pidfd), False
    return Condition(is_alive, is_stopped, is_child)


def is_over(pidfd: int) -> bool:
    """Whether a process has ended, be it a child or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _kill(pidfd: int) -> None:
    with suppress(OSError):  # it has ended, or this is no pidfd
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
