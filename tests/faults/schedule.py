"""Which faults strike, in which order: drawn from a seed."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def drawn(seed: int, rows: Sequence[T], count: int) -> Iterator[tuple[T, Random]]:
    """So many rows, and for each a source of chance of its own. None comes again before all others
    have come. The same seed draws the same."""
    chance = Random(seed)
    deck: list[T] = []
    for number in range(count):
        if not deck:
            deck = chance.sample(rows, len(rows))
        yield deck.pop(), Random(f"{seed}, {number}")
