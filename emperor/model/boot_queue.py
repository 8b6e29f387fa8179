"""Decides which app may boot now, which ones wait, and for which a place must be freed.

The places to boot are shared by the tenants in turn. Otherwise a tenant whose apps boot slowly
would have all of them, and the apps of the others would wait.

No place is ever reserved for an app: a place is taken by an app that was last reported as booting.
So an unexpected end of a boot cannot lose a place.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
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

# An app that waits, with its number of arrival.
_Entry = tuple[K, int]
# A client chooses whether it looks like a person, so these two are one among tenants.
_WITH_VISITORS = (Rank.PERSON, Rank.VISITOR)
_WITHOUT = (Rank.SUCCESSOR,)


@dataclass(frozen=True, slots=True)
class Tenancy(Generic[K]):
    """Whose the apps are. `of` gives the tenant of an app, and `are_several` tells whether more
    than one tenant has apps."""

    of: Callable[[K], Hashable] = lambda _: None
    are_several: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Share:
    """How many places to boot the apps of a tenant have, and how many they may have."""

    taken: int
    most: int


class _Line(Generic[K]):
    """The waiting apps of one tenant, by rank. Their numbers of arrival grow in each rank."""

    def __init__(self) -> None:
        self.waiting: dict[Rank, dict[K, int]] = {rank: {} for rank in Rank}

    @property
    def is_empty(self) -> bool:
        return not any(self.waiting.values())

    def rank_of(self, app: K) -> Rank | None:
        return next((rank for rank, waiting in self.waiting.items() if app in waiting), None)

    def leave(self, app: K) -> None:
        for waiting in self.waiting.values():
            waiting.pop(app, None)

    def order(self, ranks: Iterable[Rank], turns: int) -> Iterator[_Entry[K]]:
        """The apps of these ranks as their turns will come, after so many turns of the tenant."""
        return _by_rank([iter(self.waiting[rank].items()) for rank in ranks], turns)


class BootQueue(Generic[K]):
    """The apps that wait to boot.

    At most `most_starting` apps boot at once, slow ones not counted, and at most `most_running`
    have processes; 0 is no bound. An app waits once. The tenants have turns one after the other,
    first those for whose apps a visitor waits. The apps of a tenant wait by rank, then in the order
    of arrival. Where there are several tenants, one of them has all places but one at most, so that
    the first app of another boots at once.
    """

    def __init__(
        self, most_starting: int, most_running: int, tenancy: Tenancy[K] | None = None
    ) -> None:
        self._most_starting = most_starting or inf
        self._most_running = most_running or inf
        self._tenancy = tenancy or Tenancy()
        self._lines: dict[Hashable, _Line[K]] = {}
        self._numbers = count()
        # While apps wait or boot: all turns; and those with a visitor of each tenant, in the order
        # of the last turns.
        self._turns = 0
        self._turns_of: dict[Hashable, int] = {}
        # Apps that may boot, and are not reported as booting yet.
        self._ready: set[K] = set()
        self._booting: set[K] = set()
        self._presence: dict[K, Presence] = {}
        self._leaving = 0

    def ask(self, app: K, rank: Rank) -> bool:
        """Whether `app` may boot now; its presence is to be reported then. Else it waits, or its
        rank rises."""
        if app in self._ready:
            return True
        self.raise_rank(app, rank)
        if not self._fits(app) or next(self._with_a_place(), None) != app:
            return False
        self._take_turn(app)
        return True

    def raise_rank(self, app: K, rank: Rank) -> None:
        """Wait with that rank, unless the app waits with a better one."""
        before = self._rank_of(app)
        if before is not None and before <= rank:
            return
        self._ready.discard(app)
        line = self._lines.setdefault(self._tenancy.of(app), _Line())
        line.leave(app)
        line.waiting[rank][app] = next(self._numbers)

    def leave(self, app: K) -> None:
        """Have the app wait no longer."""
        self._ready.discard(app)
        tenant = self._tenancy.of(app)
        if line := self._lines.get(tenant):
            line.leave(app)
            if line.is_empty:
                del self._lines[tenant]
        self._forget_turns()

    @property
    def is_empty(self) -> bool:
        """Whether no app waits."""
        return not self._lines

    def pop_ready(self) -> K | None:
        """The next app, if there is a place for it. It has left the queue, and `ask` is true for it
        until its presence is reported."""
        app = next(self._with_a_place(), None)
        if app is None or not self._fits(app):
            return None
        self._take_turn(app)
        self._ready.add(app)
        return app

    def report(self, app: K, presence: Presence) -> None:
        """Take note of the processes that `app` has now."""
        self._ready.discard(app)
        self._booting.discard(app)
        before = self._presence.pop(app, None)
        self._leaving += (presence is Presence.LEAVING) - (before is Presence.LEAVING)
        if presence is not Presence.ABSENT:
            self._presence[app] = presence
        if presence is Presence.BOOTING:
            self._booting.add(app)
        self._forget_turns()

    def having(self, presence: Presence) -> list[K]:
        """The apps of which that was reported last."""
        return [app for app, reported in self._presence.items() if reported is presence]

    def short_of_room(self) -> list[K]:
        """The waiting apps for which an app that serves must leave: they could boot, if not for
        `most_running`, and no app is leaving for them yet."""
        if self._most_running == inf:
            return []
        # Not more than can ever boot: the queue may be long.
        free = min(self._most_starting - self._places_taken, self._most_running)
        first = islice(self._with_a_place(), max(0, int(free)))
        newcomers = [app for app in first if app not in self._presence]
        room = self._most_running - len(self._presence) + self._leaving
        return newcomers[max(0, int(room)) :]

    def positions(self) -> dict[K, int]:
        """All waiting apps, with the number of turns until their own: 1 is the next."""
        return {app: turn for turn, (app, _) in enumerate(self._order(), 1)}

    def share(self, app: K) -> Share | None:
        """What the tenant of that app has of the places to boot; None where there is no bound."""
        if self._most_starting == inf:
            return None
        most = min(self._most_starting, self._most_per_tenant)
        return Share(self._places_of()[self._tenancy.of(app)], int(most))

    @property
    def _places_taken(self) -> int:
        return len(self._booting) + len(self._ready)

    def _places_of(self) -> Counter[Hashable]:
        return Counter(map(self._tenancy.of, (*self._booting, *self._ready)))

    @property
    def _most_per_tenant(self) -> float:
        is_shared = 1 < self._most_starting < inf and self._tenancy.are_several()
        return self._most_starting - 1 if is_shared else inf

    def _fits(self, app: K) -> bool:
        has_room = app in self._presence or len(self._presence) < self._most_running
        if not has_room or self._places_taken >= self._most_starting:
            return False
        most = self._most_per_tenant
        return most == inf or self._places_of()[self._tenancy.of(app)] < most

    def _forget_turns(self) -> None:
        if not (self._lines or self._places_taken):
            self._turns = 0
            self._turns_of.clear()

    def _rank_of(self, app: K) -> Rank | None:
        line = self._lines.get(self._tenancy.of(app))
        return line.rank_of(app) if line else None

    def _take_turn(self, app: K) -> None:
        rank = self._rank_of(app)
        self.leave(app)
        tenant = self._tenancy.of(app)
        self._turns += 1
        self._turns_of[tenant] = self._turns_of.pop(tenant, 0) + (rank in _WITH_VISITORS)

    def _with_a_place(self) -> Iterator[K]:
        """The waiting apps as their turns will come, without those beyond the share of their
        tenant."""
        most = self._most_per_tenant
        if most == inf:
            yield from (app for app, _ in self._order())
            return
        taken = self._places_of()
        for app, _ in self._order(lambda tenant: max(0, int(most) - taken[tenant])):
            tenant = self._tenancy.of(app)
            if taken[tenant] < most:
                taken[tenant] += 1
                yield app

    def _order(
        self, most: Callable[[Hashable], int | None] = lambda _: None
    ) -> Iterator[_Entry[K]]:
        """The waiting apps as their turns will come; of each tenant at most so many of those with a
        visitor, and as many of the others."""

        def lines(ranks: Iterable[Rank]) -> Iterator[Iterator[_Entry[K]]]:
            for tenant in self._tenants():
                line = self._lines[tenant]
                yield islice(line.order(ranks, self._turns_of.get(tenant, 0)), most(tenant))

        return _by_rank([_in_turn(lines(_WITH_VISITORS)), _in_turn(lines(_WITHOUT))], self._turns)

    def _tenants(self) -> Iterator[Hashable]:
        """The tenants that wait, as their turns will come."""
        yield from (tenant for tenant in self._lines if tenant not in self._turns_of)
        yield from (tenant for tenant in self._turns_of if tenant in self._lines)


def _by_rank(ranks: Iterable[Iterator[_Entry[K]]], turns: int) -> Iterator[_Entry[K]]:
    """All entries of the first iterator, then of the next; but each FAIR_TURN-th turn takes what
    has waited longest among the next of all. So many turns were before."""
    iterators = list(ranks)
    heads = [next(rank, None) for rank in iterators]
    for turn in count(turns + 1):
        first = [(index, head) for index, head in enumerate(heads) if head]
        if not first:
            return
        index, entry = first[0]
        if turn % FAIR_TURN == 0:
            index, entry = min(first, key=lambda each: each[1][1])
        yield entry
        heads[index] = next(iterators[index], None)


def _in_turn(lines: Iterable[Iterator[_Entry[K]]]) -> Iterator[_Entry[K]]:
    """The first entry of each, then the second of each, and so on."""
    left: deque[Iterator[_Entry[K]]] = deque()
    for line in lines:
        for entry in islice(line, 1):
            left.append(line)
            yield entry
    while left:
        line = left.popleft()
        for entry in islice(line, 1):
            left.append(line)
            yield entry
