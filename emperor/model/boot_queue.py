"""Decides which app may boot now, which ones wait, and for which a place must be freed.

No place is ever reserved: a place is taken by an app that was last reported as booting. So an
unexpected end of a boot cannot lose a place.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from enum import Enum, IntEnum
from itertools import count, islice
from math import inf
from typing import Generic, TypeVar

# Every fourth turn goes to the app that waits longest, since people may come without end.
FAIR_TURN = 4


class Rank(IntEnum):
    """Why a process boots; the lower rank goes first."""

    PERSON = 0  # a browser, or the operator
    VISITOR = 1  # any other client: a crawler, a client of an API, a connection
    SUCCESSOR = 2  # no request waits: the old process serves on, or the app runs always


class Presence(Enum):
    """Which processes an app has."""

    ABSENT = "no process"
    BOOTING = "a process that boots"
    SLOW = "a process that has booted for so long that it has lost its place"
    SERVING = "a process that serves"
    LEAVING = "processes that stop, and nothing else"


K = TypeVar("K", bound=Hashable)


class BootQueue(Generic[K]):
    """The apps that wait to boot.

    At most `most_starting` apps boot at once, slow ones not counted, and at most `most_running`
    have processes; 0 is no bound. An app waits once: by rank, then in the order of arrival.
    """

    def __init__(self, most_starting: int, most_running: int) -> None:
        self._most_starting = most_starting or inf
        self._most_running = most_running or inf
        # The waiting apps of each rank with their numbers of arrival, which grow in each rank.
        self._waiting: dict[Rank, dict[K, int]] = {rank: {} for rank in Rank}
        self._numbers = count()
        self._turns = 0
        # Apps that may boot, and are not reported as booting yet.
        self._ready: set[K] = set()
        self._presence: dict[K, Presence] = {}
        self._counted: Counter[Presence] = Counter()

    def ask(self, app: K, rank: Rank) -> bool:
        """Whether `app` may boot now; its presence is to be reported then. Else it waits, or its
        rank rises."""
        if app in self._ready:
            return True
        if self._fits(app) and next(self._order(), app) == app:
            self.leave(app)
            self._turns += 1
            return True
        self.raise_rank(app, rank)
        return False

    def raise_rank(self, app: K, rank: Rank) -> None:
        """Wait with that rank, unless the app waits with a better one."""
        if any(app in self._waiting[better] for better in Rank if better <= rank):
            return
        self.leave(app)
        self._waiting[rank][app] = next(self._numbers)

    def leave(self, app: K) -> None:
        """Wait no longer."""
        self._ready.discard(app)
        for waiting in self._waiting.values():
            waiting.pop(app, None)

    @property
    def is_empty(self) -> bool:
        """Whether no app waits."""
        return not any(self._waiting.values())

    def pop_ready(self) -> K | None:
        """The next app, if there is a place for it. It has left the queue, and `ask` is true for it
        until its presence is reported."""
        app = next(self._order(), None)
        if app is None or not self._fits(app):
            return None
        self.leave(app)
        self._ready.add(app)
        self._turns += 1
        return app

    def report(self, app: K, presence: Presence) -> None:
        """Take note of the processes that `app` has now."""
        self._ready.discard(app)
        before = self._presence.pop(app, None)
        if before is not None:
            self._counted[before] -= 1
        if presence is not Presence.ABSENT:
            self._presence[app] = presence
            self._counted[presence] += 1

    def having(self, presence: Presence) -> list[K]:
        """The apps of which that was reported last."""
        return [app for app, reported in self._presence.items() if reported is presence]

    def short_of_room(self) -> list[K]:
        """The waiting apps for which an app that serves must leave: they could boot, if not for
        `most_running`, and no app is leaving for them yet."""
        if self._most_running == inf:
            return []
        # Not more than can ever boot: the queue may be long.
        free = min(self._most_starting - self._booting, self._most_running)
        first = islice(self._order(), max(0, int(free)))
        newcomers = [app for app in first if app not in self._presence]
        room = self._most_running - len(self._presence) + self._counted[Presence.LEAVING]
        return newcomers[max(0, int(room)) :]

    def positions(self) -> dict[K, int]:
        """All waiting apps, with the number of turns until their own: 1 is the next."""
        return dict(zip(self._order(), count(1), strict=False))

    @property
    def _booting(self) -> int:
        return self._counted[Presence.BOOTING] + len(self._ready)

    def _fits(self, app: K) -> bool:
        has_room = app in self._presence or len(self._presence) < self._most_running
        return has_room and self._booting < self._most_starting

    def _order(self) -> Iterator[K]:
        """All waiting apps, as their turns will come."""
        ranks = [iter(waiting.items()) for waiting in self._waiting.values()]
        heads = [next(rank, None) for rank in ranks]
        for turn in count(self._turns + 1):
            first = [(index, head) for index, head in enumerate(heads) if head]
            if not first:
                return
            index, (app, _) = first[0]
            if turn % FAIR_TURN == 0:
                index, (app, _) = min(first, key=lambda each: each[1][1])
            yield app
            heads[index] = next(ranks[index], None)
