"""The last good versions of inis, over a stop of the daemon.

An earlier daemon has kept them. The next one serves such a version first, where the file holds
another by then, and reads the file after that. So a version that is broken, or does not start,
replaces it as little as if the daemon had not stopped.
"""

from collections.abc import Iterable, Mapping
from threading import Thread
from typing import Protocol

from emperor.model.good_ini import GoodIni
from emperor.model.lifecycle import State
from emperor.model.spec import Stamp
from emperor.supervisor.records import Vassal
from emperor.supervisor.versions import last_good


class Keep(Protocol):
    """Keeps the good versions for the next daemon."""

    def read(self) -> Mapping[str, GoodIni]:
        """The versions by the names of their files."""

    def write(self, inis: Iterable[GoodIni]) -> None:
        """Replace the versions that are kept."""


class GoodVersions:
    """What an earlier daemon has kept in `keep`, until all inis were read once."""

    def __init__(self, keep: Keep | None) -> None:
        self._keep = keep
        self._by_file: dict[str, GoodIni] = dict(keep.read()) if keep else {}

    def take(self, file: str, stamp: Stamp) -> GoodIni | None:
        """The good version of a file that has that stamp now; each is given once."""
        kept = self._by_file.pop(file, None)
        return kept if kept and kept.belongs_to_owner_of(stamp) else None

    def drop(self) -> None:
        """Forget the versions of an earlier daemon: all inis were read."""
        self._by_file.clear()

    def save(self, vassals: Iterable[Vassal]) -> Thread:
        """Keep the good versions of these for the next daemon, in a thread: a disk may hang."""
        goods = [
            GoodIni(vassal.spec.ini, good.stamp, good.text)
            for vassal in vassals
            if vassal.state is not State.REMOVED and (good := last_good(vassal)) and good.stamp
        ]
        keep = self._keep.write if self._keep else list
        thread = Thread(target=keep, args=(goods,), name="good-inis", daemon=True)
        thread.start()
        return thread
