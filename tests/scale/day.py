"""A made-up day of a fleet. Its clock is moved by hand: from event to event."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from emperor.model.registration import BUCKETS
from emperor.registry.port import CannotReach
from tests.balancer.vectors import stock_index
from tests.scale.backend import Backend
from tests.scale.fleet import Fleet
from tests.scale.registry import Registry
from tests.scale.traffic import Traffic, load, names, rates

# The law's exponent: the most popular domain has nearly half of all hits.
_EXPONENT = 1.6
# Hits so soon after the one before change nothing, and are left out.
_COARSE_SECONDS = 600.0
# etcd keeps the changes of so long (auto-compaction).
_RETENTION_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Size:
    """How large the fleet is, and what its settings are. `awake` apps are awake on an average day;
    so many inis change a second."""

    backends: int = 1_000
    domains: int = 1_000_000
    awake: int = 100_000
    changes: float = 1.0
    slots: int = BUCKETS
    idle: float = 26 * 3600.0
    forget: float = 30 * 86_400.0
    seed: int = 1


@dataclass(slots=True)
class Account:
    """What happened. Each is counted by the second in which it did."""

    pulls: Counter[int] = field(default_factory=Counter)
    # By the second and the backend.
    pulls_of: Counter[tuple[int, str]] = field(default_factory=Counter)
    wakes: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)
    read_again: Counter[int] = field(default_factory=Counter)
    told: Counter[int] = field(default_factory=Counter)
    changes_refused: int = 0
    changes: int = 0
    moved: int = 0
    # How many backends had to take up each change.
    spread: Counter[int] = field(default_factory=Counter)


class Day:
    """The fleet at the beginning of the day: each backend holds those of its domains that somebody
    has asked for within the time after which they are forgotten."""

    def __init__(
        self, size: Size, folder: Path, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self.size, self.folder, self._tell = size, folder, tell
        self.random = Random(size.seed)
        self.now = 0.0
        tell("names")
        self.names = names(size.domains, self.random)
        tell("buckets")
        self.registry = Registry(self.names)
        self.slots = self.registry.buckets
        if size.slots != BUCKETS:
            self.slots = [stock_index(name, size.slots) for name in self.names]
        self.members: list[list[int]] = [[] for _ in range(size.slots)]
        for domain, slot in enumerate(self.slots):
            self.members[slot].append(domain)
        self.traffic = Traffic(rates(size.domains, size.awake, size.idle, _EXPONENT), self.random)
        addresses = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(1, size.backends + 1)]
        self.fleet = Fleet(folder, addresses, size.slots)
        self.backends = {address: Backend(address, self.registry) for address in addresses}
        self.account = Account()
        self.watchers: list[set[str]] = [set() for _ in range(BUCKETS)]
        self._generation = bytearray(size.domains)
        self._hits: list[tuple[float, int, int]] = []
        self._next_change = self.random.expovariate(size.changes)
        self._begin()

    def _begin(self) -> None:
        self._tell("what the backends hold")
        for domain, slot in enumerate(self.slots):
            backend = self.backends[self.fleet.slots[slot]]
            used = self.traffic.before(domain, 0.0)
            if used > -self.size.forget:
                backend.had(domain, used)
                self.watchers[self.registry.buckets[domain]].add(backend.address)
            self._hits.append((self.traffic.after(domain, 0.0), domain, 0))
        heapq.heapify(self._hits)

    def place(self, domain: int) -> Backend:
        """The backend that serves a domain now."""
        address = self.fleet.backend(self.names[domain], self.slots[domain])
        return self.backends[address]

    def until(self, time: float) -> None:
        """Let the visitors come, and the inis change, until then."""
        while True:
            hit = self._hits[0][0] if self._hits else time
            if min(hit, self._next_change) >= time:
                break
            if self._next_change < hit:
                self.now = self._next_change
                self._change(self.random.randrange(self.size.domains))
                self._next_change += self.random.expovariate(self.size.changes)
            else:
                self._hit()
        self.now = time

    def _hit(self) -> None:
        self.now, domain, generation = self._hits[0]
        if generation != self._generation[domain]:
            heapq.heappop(self._hits)
            return
        backend, second = self.place(domain), int(self.now)
        was_awake = backend.is_awake(domain, self.now, self.size.idle)
        again = self.now + _COARSE_SECONDS
        try:
            if backend.asked(domain, self.now):
                self.account.pulls[second] += 1
                self.account.pulls_of[second, backend.address] += 1
                self.watchers[self.registry.buckets[domain]].add(backend.address)
            self.account.wakes[second] += not was_awake
        except CannotReach:
            self.account.failed[second] += 1
            again = self.now
        following = (self.traffic.after(domain, again), domain, generation)
        heapq.heapreplace(self._hits, following)

    def _change(self, domain: int) -> None:
        try:
            self.registry.put(domain, self.now)
        except CannotReach:
            self.account.changes_refused += 1
            return
        self.account.changes += 1
        self.registry.compact(self.now - _RETENTION_SECONDS)
        bucket, holders = self.registry.buckets[domain], 0
        for address in self.watchers[bucket] - self.fleet.lost:
            backend = self.backends[address]
            holders += backend.holds(domain)
            backend.learn(domain, self.now)
            self.account.told[int(self.now)] += 1
        self.account.spread[holders] += 1

    def lose(self, count: int) -> list[str]:
        """Have so many backends vanish. Returns which."""
        left = sorted(set(self.fleet.slots) - self.fleet.lost)
        gone = self.random.sample(left, count)
        self.fleet.lost |= set(gone)
        for address in gone:
            self.backends[address].revision = self.registry.revision
        self._visitors_move(self._domains_of(gone))
        return gone

    def bring_back(self, backends: Iterable[str], empty: bool = False) -> None:
        """They are back, with what they had, or as other machines whose disks are empty. Those of
        their domains that others hold are asked for here again."""
        back = sorted(backends)
        self._visitors_move(self._domains_of(self.fleet.lost))
        self.fleet.lost -= set(back)
        for address in back:
            backend = self.backends[address]
            backend.booted = self.now
            if empty:
                self._watch_less(backend, set(backend.buckets))
                self.backends[address] = Backend(address, self.registry, self.now)
            else:
                self._begin_anew(backend)

    def add(self, address: str) -> int:
        """A new backend gets its share of the slots. Returns how many domains move."""
        self.backends[address] = Backend(address, self.registry, self.now)
        moved = [each for slot in self.fleet.add(address) for each in self.members[slot]]
        self._visitors_move(moved)
        return len(moved)

    def empty_all(self) -> None:
        """Another machine with an empty disk takes the place of each backend."""
        for backend in self.backends.values():
            self._watch_less(backend, set(backend.buckets))
        self.backends = {each: Backend(each, self.registry, self.now) for each in self.backends}
        self._visitors_move(range(self.size.domains))

    def expected_hits(self, begin: float, end: float) -> float:
        """How many hits there are between two times, as a mean."""
        return sum(self.traffic.rates) * (load(end) - load(begin))

    def restart_all(self) -> int:
        """All daemons are restarted. Apps run on; each daemon goes on with its watch. Returns how
        many buckets are watched anew."""
        up = [each for address, each in self.backends.items() if address not in self.fleet.lost]
        for backend in up:
            backend.revision = self.registry.revision
            self._begin_anew(backend)
        return sum(len(backend.buckets) for backend in up)

    def forget(self) -> None:
        """Each backend takes off its disk what has slept for long."""
        for address, backend in self.backends.items():
            if address not in self.fleet.lost:
                backend.forget(self.now - self.size.forget)

    def _watch_less(self, backend: Backend, buckets: set[int]) -> None:
        for bucket in buckets:
            self.watchers[bucket].discard(backend.address)

    def _begin_anew(self, backend: Backend) -> None:
        """The daemon of a backend has started. Its watch goes on after the last revision; if those
        changes are not told any more, it reads what it holds."""
        watched = set(backend.buckets)
        backend.restart()
        self._watch_less(backend, watched - set(backend.buckets))
        registry = self.registry
        if backend.revision < registry.compacted:
            for domain in backend.held:
                self.account.read_again[int(self.now)] += 1
                backend.learn(domain, self.now)
            return
        for domain in dict.fromkeys(registry.changes[backend.revision :]):
            if registry.buckets[domain] in backend.buckets:
                backend.learn(domain, self.now)

    def _domains_of(self, backends: Iterable[str]) -> Iterator[int]:
        """All that belong to these backends, and those that these serve for lost ones."""
        for slot in self.fleet.slots_of({*backends, *self.fleet.lost}):
            yield from self.members[slot]

    def _visitors_move(self, domains: Iterable[int]) -> None:
        """Another backend may be asked from now on: no visitor is left out any more."""
        for domain in domains:
            self._generation[domain] = (self._generation[domain] + 1) % 256
            heapq.heappush(
                self._hits,
                (self.traffic.after(domain, self.now), domain, self._generation[domain]),
            )
