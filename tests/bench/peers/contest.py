"""Measures the peers in turn, round by round. A peer that cannot be measured is told with why."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Generic, TypeVar

from docs.figures import Compared, Side
from tests.bench.peers.peer import Peer, Site
from tests.bench.rounds import Bench

T = TypeVar("T")

_PER_ONE = {"ms": 1000.0, "KB": 1 / 1024, "MB": 1 / 1024**2}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row of the comparison, and its name."""

    what: str
    compared: Compared


@dataclass(frozen=True, slots=True)
class Contest(Generic[T]):
    """The results of each side by round, and why the others have none."""

    rows: str
    seen: dict[str, list[T]]
    absent: dict[str, str] = field(default_factory=dict)
    floors: frozenset[str] = frozenset()

    def row(  # noqa: PLR0913
        self,
        what: str,
        unit: str,
        value: Callable[[T], float],
        *,
        to: str,
        note: Callable[[Sequence[T]], str] = lambda _: "",
        more_is_better: bool = False,
    ) -> Comparison:
        """A row of one value of each result, in seconds, bytes or pieces, with the ratio to the
        side `to`, and a remark on what a side did."""
        values = {name: [value(each) for each in results] for name, results in self.seen.items()}
        scale = _PER_ONE.get(unit, 1.0)
        sides = {
            name: Side(
                _rounded(median(each) * scale),
                _rounded(min(each) * scale),
                _rounded(max(each) * scale),
                len(each),
                None if name == to else _ratio(each, values.get(to, ())),
                note(self.seen[name]),
                name in self.floors,
            )
            for name, each in values.items()
        }
        sides |= {name: Side(note=reason) for name, reason in self.absent.items()}
        today = date.today().isoformat()
        return Comparison(what, Compared(self.rows, unit, today, to, more_is_better, sides))


def _ratio(values: Sequence[float], others: Sequence[float]) -> float | None:
    """The median of the ratios of all rounds."""
    if not others or not all(others):
        return None
    if len(values) != len(others):
        return _rounded(median(values) / median(others))
    return _rounded(median(mine / other for mine, other in zip(values, others, strict=True)))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a contest takes place: a folder, the sites, and the ways that take part. `cannot` says,
    by names, what keeps the others out."""

    rows: str
    folder: Path
    sites: Sequence[Site]
    ways: Sequence[type[Peer]]
    cannot: Mapping[str, str] = field(default_factory=dict)

    def each_round(
        self, bench: Bench, measure: Callable[[Peer], T], count: int, warm_up: bool = True
    ) -> Contest[T]:
        """Start each peer anew for each round, and measure."""
        return contest(
            bench,
            {way.name: partial(self._alone, way, measure) for way in self.ways},
            self.empty(),
            count,
            warm_up,
        )

    def all_at_once(self, stack: ExitStack) -> dict[str, Peer]:
        """Start all peers, by names. `stack` ends them."""
        absent: Contest[None] = self.empty()
        return {
            way.name: stack.enter_context(way(self.folder, self.sites))
            for way in self.ways
            if way.name not in absent.absent
        }

    def empty(self) -> Contest[T]:
        """No results yet, and the ways that do not take part."""
        missing = {way.name: f"not run: {way.missing()}" for way in self.ways if way.missing()}
        floors = frozenset(way.name for way in self.ways if way.is_floor)
        return Contest(self.rows, {}, {**missing, **self.cannot}, floors)

    def _alone(self, way: type[Peer], measure: Callable[[Peer], T]) -> T:
        with way(self.folder, self.sites) as peer:
            return measure(peer)


def contest(
    bench: Bench,
    sides: Mapping[str, Callable[[], T]],
    into: Contest[T],
    count: int,
    warm_up: bool = True,
) -> Contest[T]:
    """Add `count` results of each side, after a round to warm up. Another side begins in each
    round. A side that fails is left out, except the first."""
    names = [name for name in sides if name not in into.absent]
    first = names[0]

    def measure(name: str) -> list[T]:
        try:
            return [sides[name]()]
        except Exception as error:
            if name == first:
                raise
            into.absent[name] = f"not measured: {str(error) or repr(error)}"
            into.seen.pop(name, None)
            names.remove(name)
            return []

    if warm_up:
        bench.tell(f"{into.rows}, to warm up")
        for name in list(names):
            measure(name)
    into.seen.update({name: [] for name in sides if name in names})
    for _ in bench.rounds(into.rows, count):
        for name in list(names):
            for result in measure(name):
                into.seen[name].append(result)
        names.append(names.pop(0))
    return into
