"""How the limit on open files is shared out before it is reached."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FdBudget:
    """RLIMIT_NOFILE. The kernel gives away the lowest number that is free, so the number of a new
    descriptor tells that as many are in use."""

    limit: int

    @property
    def vassals(self) -> int:
        """So many can be served, for each has a listener. A quarter is left for all the rest."""
        return self.limit * 3 // 4

    @property
    def held(self) -> int:
        """From this number on a connection is not held: an eighth is left for processes, each of
        which has two while it lives and a few more while it is spawned."""
        return self.limit * 7 // 8

    @property
    def accepted(self) -> int:
        """From this number on nginx's connections wait in their queue; the operator's do not."""
        return self.limit * 15 // 16


def limit_for(vassals: int) -> int:
    """The least limit that can hold so many."""
    return -(-vassals * 4 // 3)
