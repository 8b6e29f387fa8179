"""How the limit on open files is divided before it is reached."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FdBudget:
    """RLIMIT_NOFILE. The kernel assigns the lowest free number, so the number of a new descriptor
    tells how many are in use at least."""

    limit: int

    @property
    def vassals(self) -> int:
        """The most vassals: each has a listener. A quarter is left for everything else."""
        return self.limit * 3 // 4

    @property
    def held(self) -> int:
        """A connection with this number or a higher one is not held. An eighth is left for
        processes: each takes two while it lives, and a few more while it is spawned."""
        return self.limit * 7 // 8

    @property
    def accepted(self) -> int:
        """nginx's connections wait in their queue from this number on; the operator's do not."""
        return self.limit * 15 // 16

    @property
    def tenants(self) -> int:
        """The most connections of tenants to control.sock."""
        return min(512, max(2, self.limit // 32))


def limit_for(vassals: int) -> int:
    """The lowest limit on open files that is enough for this many vassals."""
    return -(-vassals * 4 // 3)
