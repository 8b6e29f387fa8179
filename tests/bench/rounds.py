"""Measures all sides in turn, round by round, so that a disturbance of the machine affects all."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

ROUNDS = 15
_QUICK_ROUNDS = 3
_SELDOM = 3


@dataclass(frozen=True, slots=True)
class Bench:
    """A run: `quick` limits the rounds, and `tell` gets the progress."""

    quick: bool
    tell: Callable[[str], None]

    def rounds(self, what: str, count: int = ROUNDS) -> Iterator[int]:
        """The numbers of the rounds from 1 to `count`, or to 3 in a quick run."""
        count = min(count, _QUICK_ROUNDS) if self.quick else count
        for number in range(1, count + 1):
            self.tell(f"{what} {number}/{count}")
            yield number

    def paired(
        self,
        what: str,
        sides: Mapping[str, Callable[[], T]],
        count: int = ROUNDS,
        seldom: str | None = None,
    ) -> dict[str, list[T]]:
        """The results of each side, after a round to warm up. Another side begins in each round.
        The side `seldom`, which takes long, is measured only in every third round."""
        self.tell(f"{what}, to warm up")
        for measure in sides.values():
            measure()
        results: dict[str, list[T]] = {name: [] for name in sides}
        names = list(sides)
        for number in self.rounds(what, count):
            for name in names:
                if name != seldom or number % _SELDOM == 0:
                    results[name].append(sides[name]())
            names.append(names.pop(0))
        return results
