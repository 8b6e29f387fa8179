"""Which faults strike, in which order and which at the same time: drawn from a seed."""

from collections.abc import Iterator, Sequence
from random import Random

from tests.faults.table import Fault

# With so many strikes each, these seeds draw every fault.
FIXED_SEEDS = (504, 917, 1699, 494)
FIXED_STRIKES = 5

# So many strikes out of ten are of two faults at once.
_PAIRS = 4


def drawn(seed: int, rows: Sequence[Fault], count: int) -> Iterator[tuple[list[Fault], Random]]:
    """The next `count` strikes, each with a source of chance of its own. No fault comes again
    before all others have come. The same seed draws the same."""
    chance = Random(seed)
    deck: list[Fault] = []
    for number in range(count):
        if not deck:
            deck = chance.sample(rows, len(rows))
        faults = [deck.pop()]
        wants_another = chance.randrange(10) < _PAIRS
        if wants_another and deck and not (faults[0].alone or deck[-1].alone):
            faults.append(deck.pop())
        yield faults, Random(f"{seed}, {number}")
