"""What the registry has of the fleet, kept up to date by a watch: the backends that are up, the
table of slots, and since when others are down."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from emperor.model import absences, member
from emperor.model.member import BrokenMember, Member
from emperor.model.registry_keys import Keys
from emperor.registry.paging import pages
from emperor.registry.port import Changes, Engine, KeyValue

log = logging.getLogger("emperord.fleet_view")


class FleetView:
    """The fleet as the registry has it. `members` are those that are up, by address. `table` is
    what the key of slots has."""

    def __init__(self, engine: Engine, keys: Keys) -> None:
        self._engine = engine
        self._keys = keys
        self._spans = (keys.backends(), keys.slots_alone(), keys.absences_alone())
        self._broken: set[str] = set()
        self.members: dict[str, Member] = {}
        self.table: KeyValue | None = None
        self.absences: KeyValue | None = None

    async def read(self) -> int:
        """Read all of it. Returns the revision after which changes are to be watched. Raises as an
        engine does."""
        self.members.clear()
        self.table = self.absences = None
        revisions = []
        for span in self._spans:
            async for page in pages(self._engine, span):
                revisions.append(page.revision)
                for entry in page.entries:
                    self._take(entry)
        return min(revisions)

    async def follow(self, after: int) -> AsyncGenerator[None, None]:
        """Each time that something may have changed. Raises as a watch does."""
        async with aclosing(self._engine.watch(self._spans, after)) as watch:
            async for changes in watch:
                self._apply(changes)
                yield

    def _apply(self, changes: Changes) -> None:
        for entry in changes.written:
            self._take(entry)
        for key in changes.gone:
            if key == self._keys.slots():
                self.table = None
            elif key == self._keys.absences():
                self.absences = None
            else:
                self.members.pop(self._keys.address(key), None)

    def _take(self, entry: KeyValue) -> None:
        if entry.key == self._keys.slots():
            self.table = entry
        elif entry.key == self._keys.absences():
            self.absences = entry
        else:
            self._take_member(self._keys.address(entry.key), entry.value)

    def _take_member(self, address: str, value: bytes) -> None:
        try:
            self.members[address] = member.decoded(address, value)
        except BrokenMember as error:
            self.members.pop(address, None)
            if address not in self._broken:
                self._broken.add(address)
                log.warning("cannot use what the registry has of a backend: %s", error)

    def down_since(self) -> dict[str, int]:
        """What agents have noted, in seconds since the epoch."""
        return absences.decoded(self.absences.value) if self.absences else {}
