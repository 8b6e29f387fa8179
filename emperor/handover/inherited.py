"""What this daemon inherits from an earlier one, and what it passes on to the next: the bag, with
the records of the daemon and its vassals and their descriptors."""

import logging
import os
from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass

from emperor import __version__
from emperor.linux.bag import Bag
from emperor.linux.fd_kinds import is_of_kind
from emperor.linux.inheritance import inherited
from emperor.linux.sd_notify import Notifier
from emperor.model.daemon_record import DaemonRecord, FdRecord, decode, encode, record_of
from emperor.model.ports import CannotKeep, StoreEntry
from emperor.model.settings import Settings
from emperor.model.snapshot import Stale, VassalRecord
from emperor.supervisor.restore import SavedVassal, saved_vassals

log = logging.getLogger("emperord.inherited")

READER, WRITER = "bag.reader", "bag.writer"
# No domain is the empty string.
_DAEMON_KEY = ""


@dataclass(frozen=True, slots=True)
class PassedFd:
    """A descriptor that is passed from one daemon to the next. `is_ours`: an emperord has made it,
    and removes its path when it stops. Otherwise systemd holds it."""

    fd: int
    is_ours: bool


class Inherited:
    """What there was at the start, and what is passed on. `record` is that of the earlier daemon,
    None if there was none or this version cannot read it; `entries` are those of its vassals, and
    `fds` the descriptors by name. `is_new`: no bag was inherited, so nobody knows the processes in
    our control group."""

    def __init__(
        self,
        bag: Bag,
        is_new: bool,
        record: DaemonRecord | None,
        entries: dict[str, StoreEntry],
        fds: dict[str, PassedFd],
    ) -> None:
        self.bag = bag
        self.is_new = is_new
        self.record = record
        self._entries = entries
        self._fds = fds
        self._passed_on: dict[str, PassedFd] = {}

    def pop(self, name: str) -> PassedFd | None:
        """Take the descriptor of that name, if there is one."""
        return self._fds.pop(name, None)

    def pop_entries(self, prefix: str) -> list[StoreEntry]:
        """Take the entries whose keys begin so. They are of no vassals."""
        keys = [key for key in self._entries if key.startswith(prefix)]
        return [self._entries.pop(key) for key in keys]

    def pop_vassals(self, decode: Callable[[bytes], VassalRecord]) -> list[SavedVassal]:
        """Take all vassals. Entries that this version cannot read are closed and deleted: their
        descriptors would keep sockets from being bound again, and unknown processes alive."""
        entries, self._entries = self._entries, {}
        vassals = saved_vassals(entries.values(), decode, is_of_kind)
        unreadable = entries.keys() - {vassal.domain for vassal in vassals}
        for domain in unreadable:
            for fd in entries[domain].fds:
                os.close(fd)
        _delete(self.bag, unreadable)
        return vassals

    def pass_on(self, name: str, fd: int, is_ours: bool) -> None:
        """Leave this descriptor to the next daemon too."""
        self._passed_on[name] = PassedFd(fd, is_ours)

    def commit(self, settings: Settings) -> None:
        """Save the record of this daemon in the place of the earlier one's, and close what nothing
        has taken."""
        for name, passed in self._fds.items():
            log.warning("%s was passed to emperord, which has no use for it", name)
            os.close(passed.fd)
        self._fds.clear()
        records = tuple(FdRecord(name, passed.is_ours) for name, passed in self._passed_on.items())
        fds = tuple(passed.fd for passed in self._passed_on.values())
        payload = encode(record_of(__version__, settings, records))
        try:
            self.bag.write([StoreEntry(_DAEMON_KEY, payload, fds)])
        except CannotKeep as error:
            log.warning("%s; a crash of emperord would close its own sockets", error)

    def leave_nothing(self) -> None:
        """The daemon stops for good, and its vassals are gone."""
        self.bag.clear()


def claim(environment: MutableMapping[str, str], notifier: Notifier) -> Inherited:
    """What an earlier daemon left. If that is nothing, an empty bag, which systemd is asked to
    keep. Raises OSError."""
    fds = inherited(environment)
    inherited_bag = _bag(fds.pop(READER, None), fds.pop(WRITER, None))
    bag = inherited_bag or Bag.new()
    if inherited_bag is None:
        for name, fd in zip((READER, WRITER), bag.ends, strict=True):
            notifier.store(name, fd)
    entries = bag.read()
    entry = entries.pop(_DAEMON_KEY, None)
    record, passed = _daemon_record(entry)
    if entry and not record:
        # The entry also holds the lock of run-dir, which this daemon must be able to take.
        _delete(bag, [_DAEMON_KEY])
    # systemd gives its sockets at each start, and listens on these now.
    for name, fd in fds.items():
        if name in passed:
            os.close(passed[name].fd)
        passed[name] = PassedFd(fd, is_ours=False)
    return Inherited(bag, inherited_bag is None, record, entries, passed)


def _bag(reader: int | None, writer: int | None) -> Bag | None:
    if reader is None or writer is None:
        return None
    try:
        return Bag.inherited(reader, writer)
    except OSError as error:
        log.warning("cannot use what an earlier emperord left: %s", error.strerror)
        return None


def _daemon_record(entry: StoreEntry | None) -> tuple[DaemonRecord | None, dict[str, PassedFd]]:
    """The record in that entry, and its descriptors by name."""
    if entry is None:
        return None, {}
    try:
        record = decode(entry.payload)
        if len(record.fds) != len(entry.fds):
            raise Stale(f"it names {len(record.fds)} descriptors and has {len(entry.fds)}")
    except Stale as error:
        log.warning("cannot use the record of an earlier emperord: %s", error)
        for fd in entry.fds:
            os.close(fd)
        return None, {}
    pairs = zip(record.fds, entry.fds, strict=True)
    return record, {named.name: PassedFd(fd, named.is_ours) for named, fd in pairs}


def _delete(bag: Bag, keys: Collection[str]) -> None:
    try:
        bag.delete(keys)
    except CannotKeep as error:
        log.warning("cannot delete what an earlier emperord left: %s", error)
