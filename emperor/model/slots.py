"""Which backend each slot of a load balancer's list names, so that few domains move.

A domain belongs to the slot `hash % number of slots`, and the slot names a backend. As long as the
number of slots stays, a domain moves only if its slot names another backend.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor

SLOTS = 4096
# Backends whose numbers of slots differ by no more than this are taken for equal.
_EQUAL = Fraction(105, 100)
# The golden ratio of 2^32, odd.
_GOLDEN = 0x9E3779B1


class TooFewSlots(Exception):
    """A backend would have no slot. The argument is that backend."""


def usual_count(slots: Sequence[str]) -> int:
    """How many slots a list gets if nobody says: as many as it has. A plain list, which names each
    backend once, gets the greatest multiple of its length up to SLOTS: no domain moves by that."""
    backends = len(set(slots))
    if backends < len(slots):
        return len(slots)
    return max(1, SLOTS // backends) * backends


def stretched(slots: Sequence[str], count: int) -> tuple[str, ...]:
    """The backends of these slots in `count` slots. No domain moves if that is a multiple of the
    number now: `hash % count` then leaves the same remainder."""
    return tuple(slots[number % len(slots)] for number in range(count))


def weights_of(slots: Sequence[str]) -> dict[str, Fraction]:
    """The weights that a list stands for, 1 for the least: by its numbers of slots, where numbers
    that differ by rounding only, or by a slot that was moved by hand, are equal."""
    counts = Counter(slots)
    least, most = min(counts.values()), max(counts.values())
    if Fraction(most, least) <= _EQUAL or (most - least <= 1 and least > 3):
        return dict.fromkeys(counts, Fraction(1))
    return {backend: Fraction(count, least) for backend, count in counts.items()}


def rebalanced(slots: Sequence[str], weights: Mapping[str, Fraction]) -> tuple[str, ...]:
    """The list with as many slots for each backend of `weights` as its weight says, rounded up or
    down, so that the fewest slots change. Backends without a weight lose all their slots.

    Raises TooFewSlots.
    """
    before = Counter(slots)
    targets = _targets(before, weights, len(slots))
    order = sorted(range(len(slots)), key=_scattered)
    surplus = {backend: count - targets.get(backend, 0) for backend, count in before.items()}
    free = []
    for number in order:
        backend = slots[number]
        if surplus[backend] > 0:
            surplus[backend] -= 1
            free.append(number)
    after = list(slots)
    missing = {backend: target - before[backend] for backend, target in targets.items()}
    for number, backend in zip(free, _dealt(missing), strict=True):
        after[number] = backend
    return tuple(after)


def _targets(
    before: Mapping[str, int], weights: Mapping[str, Fraction], count: int
) -> dict[str, int]:
    """The number of slots of each backend: its share, rounded down or up. Those are rounded up that
    have a slot more than the share now; of the others, new backends and large fractions come first.
    """
    total = sum(weights.values())
    shares = {backend: count * weight / total for backend, weight in weights.items()}
    targets = {backend: floor(share) for backend, share in shares.items()}

    def reluctance(backend: str) -> tuple[bool, bool, Fraction]:
        has = before.get(backend, 0)
        return has <= targets[backend], has > 0, targets[backend] - shares[backend]

    fractions = [backend for backend in shares if shares[backend] > targets[backend]]
    for backend in sorted(fractions, key=reluctance)[: count - sum(targets.values())]:
        targets[backend] += 1
    for backend, target in targets.items():
        if target == 0:
            raise TooFewSlots(backend)
    return targets


def _dealt(missing: Mapping[str, int]) -> list[str]:
    """Each backend as often as it misses a slot, evenly mixed."""
    turns = [
        (Fraction(2 * turn + 1, 2 * count), backend)
        for backend, count in missing.items()
        for turn in range(count)
    ]
    return [backend for _, backend in sorted(turns, key=lambda turn: turn[0])]


def _scattered(number: int) -> int:
    """An order of the slots in which any few neighbours are spread over the whole list, and over
    every remainder: the hashes of similar names have similar last bits."""
    return number * _GOLDEN % 2**32
