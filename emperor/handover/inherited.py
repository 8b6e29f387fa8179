"""What an earlier daemon left to this one, and what this one leaves to the next: the bag, and all
that is in it."""

import logging
import os
from collections.abc import Collection, MutableMapping
from dataclasses import dataclass

from emperor import __version__
from emperor.linux.bag import Bag
from emperor.linux.inheritance import inherited
from emperor.linux.kinds import is_of_kind
from emperor.linux.notify import Notifier
from emperor.model.daemon_record import DaemonRecord, Handed, decode, encode, record_of
from emperor.model.ports import CannotKeep, StoreEntry
from emperor.model.settings import Settings
from emperor.model.snapshot import Stale
from emperor.supervisor.restore import SavedVassal, saved_vassals

log = logging.getLogger("emperord.inherited")

READER, WRITER = "bag.reader", "bag.writer"
# No domain is spelled like this.
_OWN_KEY = ""


@dataclass(frozen=True, slots=True)
class PassedFd:
    """A descriptor from whoever was there before. What `is_ours` no systemd holds: an emperord has
    made it, and the last one unlinks it."""

    fd: int
    is_ours: bool


class Inherited:
    """`record` is that of the daemon before, None where there was none or one that we cannot
    understand; `words` are those about its vassals. `is_new`: no bag was inherited, so no process
    in our control group can be anybody's."""

    def __init__(
        self,
        bag: Bag,
        is_new: bool,
        record: DaemonRecord | None,
        words: dict[str, StoreEntry],
        given: dict[str, PassedFd],
    ) -> None:
        self.bag = bag
        self.is_new = is_new
        self.record = record
        self._words = words
        self._given = given
        self._handed: dict[str, PassedFd] = {}

    def pop(self, name: str) -> PassedFd | None:
        """A descriptor of that name, if there is one."""
        return self._given.pop(name, None)

    def pop_vassals(self) -> list[SavedVassal]:
        """All that are left, once. What cannot be understood is let go: it would keep sockets from
        being bound anew, and processes alive that nobody knows."""
        words, self._words = self._words, {}
        read = saved_vassals(words.values(), is_of_kind)
        _let_go(self.bag, words.keys() - {legacy.domain for legacy in read})
        return read

    def pass_on(self, name: str, fd: int, is_ours: bool) -> None:
        """Let whoever comes next have it too."""
        self._handed[name] = PassedFd(fd, is_ours)

    def commit(self, settings: Settings) -> None:
        """All is taken over: say whose record it is, and close what nobody took."""
        for name, given in self._given.items():
            log.warning("%s was handed over to us, but we have no use for it", name)
            os.close(given.fd)
        self._given.clear()
        handed = tuple(Handed(name, given.is_ours) for name, given in self._handed.items())
        fds = tuple(given.fd for given in self._handed.values())
        payload = encode(record_of(__version__, settings, handed))
        try:
            self.bag.write([StoreEntry(_OWN_KEY, payload, fds)])
        except CannotKeep as error:
            log.warning("%s; a crash of emperord would close its own sockets", error)

    def leave_nothing(self) -> None:
        """The vassals have gone, and their daemon goes for good."""
        self.bag.clear()


def claim(environment: MutableMapping[str, str], notifier: Notifier) -> Inherited:
    """What there is for us; at first an empty bag, which systemd is asked to keep. Raises
    OSError."""
    fds = inherited(environment)
    inherited_bag = _bag(fds.pop(READER, None), fds.pop(WRITER, None))
    bag = inherited_bag or Bag.new()
    if inherited_bag is None:
        for name, fd in zip((READER, WRITER), bag.ends, strict=True):
            notifier.store(name, fd)
    words = bag.read()
    own = words.pop(_OWN_KEY, None)
    record, given = _own(own)
    if own and not record:
        # The lock of run-dir is in there, too, and has to be free for us.
        _let_go(bag, [_OWN_KEY])
    # What systemd holds it gives each time, and that is what it listens on now.
    for name, fd in fds.items():
        if name in given:
            os.close(given[name].fd)
        given[name] = PassedFd(fd, is_ours=False)
    return Inherited(bag, inherited_bag is None, record, words, given)


def _bag(reader: int | None, writer: int | None) -> Bag | None:
    if reader is None or writer is None:
        return None
    try:
        return Bag.inherited(reader, writer)
    except OSError as error:
        log.warning("cannot use what an earlier emperord left: %s", error.strerror)
        return None


def _own(word: StoreEntry | None) -> tuple[DaemonRecord | None, dict[str, PassedFd]]:
    if word is None:
        return None, {}
    try:
        record = decode(word.payload)
        if len(record.handed) != len(word.fds):
            raise Stale(f"it speaks of {len(record.handed)} descriptors and has {len(word.fds)}")
    except Stale as error:
        log.warning("cannot use what an earlier emperord said of itself: %s", error)
        for fd in word.fds:
            os.close(fd)
        return None, {}
    pairs = zip(record.handed, word.fds, strict=True)
    return record, {handed.name: PassedFd(fd, handed.is_ours) for handed, fd in pairs}


def _let_go(bag: Bag, keys: Collection[str]) -> None:
    try:
        bag.delete(keys)
    except CannotKeep as error:
        log.warning("cannot let go of what an earlier emperord left: %s", error)
