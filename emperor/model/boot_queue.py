"""Who may boot now, who stands in line, and for whom somebody must make room.

A place is never booked: it is taken by whoever was last noted as booting. So none can be lost by an
end of a boot that nobody thought of.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from enum import Enum, IntEnum
from itertools import count, islice
from math import inf
from typing import Generic, TypeVar

# Of so many turns one goes to whoever waits longest, since people may come without end.
FAIR_TURN = 4


class Rank(IntEnum):
    """For whom a process boots; the lower goes first."""

    PERSON = 0  # a browser that navigates, or the operator
    VISITOR = 1  # anybody else: a crawler, an API's client, a connection
    SUCCESSOR = 2  # nobody waits: the old process serves on


class Presence(Enum):
    """What there is of somebody."""

    ABSENT = "no process"
    BOOTING = "a process that boots"
    SLOW = "a process that has booted for so long that it has lost its place"
    SERVING = "a process that serves"
    LEAVING = "processes that drain, and nothing else"


K = TypeVar("K", bound=Hashable)


class BootQueue(Generic[K]):
    """At most `most_starting` boot at once, beside those that are slow at it, and at most
    `most_running` have processes; 0 is no bound. Those who have to wait stand in line, once each:
    by rank, then first come first."""

    def __init__(self, most_starting: int, most_running: int) -> None:
        self._most_starting = most_starting or inf
        self._most_running = most_running or inf
        # Each with the number that was drawn when it joined that line, so these are in order.
        self._lines: dict[Rank, dict[K, int]] = {rank: {} for rank in Rank}
        self._numbers = count()
        self._turns = 0
        self._called: set[K] = set()
        self._presence: dict[K, Presence] = {}
        self._counted: Counter[Presence] = Counter()

    def ask(self, who: K, rank: Rank) -> bool:
        """Whether `who` may boot now, which is to be noted then. Else it joins the line or moves
        up in it."""
        if who in self._called:
            return True
        if self._fits(who) and next(self._order(), who) == who:
            self.leave(who)
            self._turns += 1
            return True
        self.move_up(who, rank)
        return False

    def move_up(self, who: K, rank: Rank) -> None:
        """Stand in the line of that rank, unless it stands in a better one."""
        if any(who in self._lines[better] for better in Rank if better <= rank):
            return
        self.leave(who)
        self._lines[rank][who] = next(self._numbers)

    def leave(self, who: K) -> None:
        """Stand in line no longer."""
        self._called.discard(who)
        for line in self._lines.values():
            line.pop(who, None)

    @property
    def anybody_waits(self) -> bool:
        """Whether somebody stands in line."""
        return any(self._lines.values())

    def pop_ready(self) -> K | None:
        """Who may boot now: the first in line, if there is a place and room for it. It has left the
        line, and `ask` is true for it until it is noted."""
        who = next(self._order(), None)
        if who is None or not self._fits(who):
            return None
        self.leave(who)
        self._called.add(who)
        self._turns += 1
        return who

    def report(self, who: K, presence: Presence) -> None:
        """Say what there is of `who` now."""
        self._called.discard(who)
        before = self._presence.pop(who, None)
        if before is not None:
            self._counted[before] -= 1
        if presence is not Presence.ABSENT:
            self._presence[who] = presence
            self._counted[presence] += 1

    def having(self, presence: Presence) -> list[K]:
        """Those of whom that was noted last."""
        return [who for who, noted in self._presence.items() if noted is presence]

    def short_of_room(self) -> list[K]:
        """Those in line who have a place, but neither room nor anybody who is leaving for them."""
        if self._most_running == inf:
            return []
        # Not more than can ever be given: the line may be long.
        free = min(self._most_starting - self._booting, self._most_running)
        first = islice(self._order(), max(0, int(free)))
        newcomers = [who for who in first if who not in self._presence]
        room = self._most_running - len(self._presence) + self._counted[Presence.LEAVING]
        return newcomers[max(0, int(room)) :]

    def in_line(self) -> dict[K, int]:
        """Everybody who waits, with the number of turns until it is theirs: 1 is the next."""
        return dict(zip(self._order(), count(1), strict=False))

    @property
    def _booting(self) -> int:
        return self._counted[Presence.BOOTING] + len(self._called)

    def _fits(self, who: K) -> bool:
        has_room = who in self._presence or len(self._presence) < self._most_running
        return has_room and self._booting < self._most_starting

    def _order(self) -> Iterator[K]:
        """Everybody in line, as their turns will come."""
        lines = [iter(line.items()) for line in self._lines.values()]
        heads = [next(line, None) for line in lines]
        for turn in count(self._turns + 1):
            standing = [(index, head) for index, head in enumerate(heads) if head]
            if not standing:
                return
            index, (who, _) = standing[0]
            if turn % FAIR_TURN == 0:
                index, (who, _) = min(standing, key=lambda each: each[1][1])
            yield who
            heads[index] = next(lines[index], None)
