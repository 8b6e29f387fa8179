"""What is kept of an ini over a stop of the daemon: the last version by which the app served."""

from collections.abc import Iterable
from dataclasses import dataclass

from emperor.model.spec import Stamp


@dataclass(frozen=True, slots=True)
class GoodIni:
    """A version of an ini by which its app served. `text` was read from `file` with that stamp."""

    file: str
    stamp: Stamp
    text: bytes

    def belongs_to_owner_of(self, stamp: Stamp) -> bool:
        """Whether the file still has the owner whose ini this was. The app would run as that."""
        return (self.stamp.uid, self.stamp.gid) == (stamp.uid, stamp.gid)


def that_fit(inis: Iterable[GoodIni], most_bytes: int) -> list[GoodIni]:
    """The inis that have room in `most_bytes`, the shortest first: long ones of a tenant push out
    nobody else's."""
    fitting: list[GoodIni] = []
    for ini in sorted(inis, key=lambda ini: len(ini.text)):
        most_bytes -= len(ini.text)
        if most_bytes < 0:
            break
        fitting.append(ini)
    return fitting
