"""Which backend each slot of a load balancer's list names, so that few domains move."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.slots import (
    SLOTS,
    TooFewSlots,
    rebalanced,
    stretched,
    usual_count,
    weights_of,
)
from tests.balancer.vectors import stock_hash

NAMES = [f"backend{number}" for number in range(60)]
WEIGHTS = st.fractions(min_value=Fraction(1, 4), max_value=8, max_denominator=4)
FAMILIES = {
    "customers": "customer-{:05}.apps.example.net",
    "sites": "site{:05}.example",
    "short ones": "s{}.com",
    "shops": "www.{}-shop.co.uk",
}


def equal(count: int) -> dict[str, Fraction]:
    return dict.fromkeys(NAMES[:count], Fraction(1))


def balanced(count: int, slots: int = SLOTS) -> tuple[str, ...]:
    return rebalanced(stretched(NAMES[:count], slots), equal(count))


def moves(old: Sequence[str], new: Sequence[str]) -> set[tuple[str, str]]:
    """From which backend to which, of slots that change."""
    return {(a, b) for a, b in zip(old, new, strict=True) if a != b}


def moved(old: Sequence[str], new: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(old, new, strict=True))


def shares(count: int, weights: Mapping[str, Fraction]) -> dict[str, Fraction]:
    total = sum(weights.values())
    return {each: count * weight / total for each, weight in weights.items()}


@given(
    st.lists(st.sampled_from(NAMES[:12]), min_size=200, max_size=600),
    st.dictionaries(st.sampled_from(NAMES[:14]), WEIGHTS, min_size=1),
)
def test_every_backend_has_its_share_within_one_slot(
    old: list[str], weights: dict[str, Fraction]
) -> None:
    new = rebalanced(old, weights)
    counts = Counter(new)
    assert len(new) == len(old)
    assert counts.keys() == weights.keys()
    for backend, share in shares(len(old), weights).items():
        assert abs(counts[backend] - share) < 1


@given(
    st.lists(st.sampled_from(NAMES[:6]), min_size=40, max_size=80),
    st.dictionaries(st.sampled_from(NAMES[:7]), st.sampled_from([1, 2, 3]), min_size=1),
)
def test_no_list_with_these_shares_moves_fewer_slots(
    old: list[str], weighed: dict[str, int]
) -> None:
    weights = {each: Fraction(weight) for each, weight in weighed.items()}
    due = shares(len(old), weights)
    has = Counter(old)
    choices = product(*({floor(share), ceil(share)} for share in due.values()))
    fewest = min(
        sum(max(0, count - has[each]) for each, count in zip(due, counts, strict=True))
        for counts in choices
        if sum(counts) == len(old)
    )
    assert moved(old, rebalanced(old, weights)) == fewest


@given(st.integers(1, 50), st.sampled_from([1024, 4095, 4096, 8192]))
def test_a_new_backend_takes_its_share_and_nothing_else_moves(backends: int, slots: int) -> None:
    if slots < backends * (backends + 1):
        slots = SLOTS
    old = balanced(backends, slots)
    new = rebalanced(old, equal(backends + 1))
    assert {after for _, after in moves(old, new)} == {NAMES[backends]}
    assert abs(moved(old, new) - slots / (backends + 1)) < 1


@given(st.integers(2, 50), st.data())
def test_a_removal_moves_what_was_the_removed_ones(backends: int, data: st.DataObject) -> None:
    old = balanced(backends)
    gone = data.draw(st.sampled_from(NAMES[:backends]))
    weights = {each: Fraction(1) for each in NAMES[:backends] if each != gone}
    new = rebalanced(old, weights)
    assert {before for before, _ in moves(old, new)} == {gone}
    assert moved(old, new) == old.count(gone)


@given(st.lists(st.sampled_from(NAMES[:9]), min_size=60), st.data())
def test_a_balanced_list_stays_as_it_is(old: list[str], data: st.DataObject) -> None:
    weights = data.draw(
        st.fixed_dictionaries(
            {each: st.sampled_from([Fraction(1), Fraction(2)]) for each in NAMES[:5]}
        )
    )
    new = rebalanced(old, weights)
    assert rebalanced(new, weights) == new


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_fifth_backend_moves_a_fifth_of_the_domains(family: str) -> None:
    plain = NAMES[:4]
    old = stretched(plain, usual_count(plain))
    new = rebalanced(old, equal(5))
    hashes = [stock_hash(family.format(number)) for number in range(100_000)]
    went = [new[value % len(new)] for value in hashes if plain[value % 4] != new[value % len(new)]]
    assert set(went) == {NAMES[4]}
    assert 0.19 <= len(went) / len(hashes) <= 0.21
    placed = Counter(new[value % len(new)] for value in hashes)
    assert max(placed.values()) < 1.02 * len(hashes) / 5


@given(st.integers(1, 300))
def test_a_plain_list_becomes_slots_and_moves_no_domain(backends: int) -> None:
    plain = [f"b{number}" for number in range(backends)]
    slots = stretched(plain, usual_count(plain))
    assert len(slots) > SLOTS - backends
    for value in map(stock_hash, ("example.com", "a.io", "shop.example.org")):
        assert slots[value % len(slots)] == plain[value % backends]
    assert usual_count(slots) == len(slots)


def test_a_fleet_larger_than_the_usual_slots_has_one_each() -> None:
    plain = [f"b{number}" for number in range(5000)]
    assert usual_count(plain) == 5000


@pytest.mark.parametrize(
    ("slots", "weights"),
    [
        ("AB", [1, 1]),
        ("AAB", [2, 1]),
        ("A" * 500 + "B" * 501, [1, 1]),
        ("A" * 5 + "B" * 4, [1, 1]),
        ("A" * 500 + "B" * 1000, [1, 2]),
        ("A" * 510 + "B" * 500, [1, 1]),
        ("A" * 300 + "B" * 200, [Fraction(3, 2), 1]),
    ],
)
def test_weights_are_seen_in_the_numbers_of_slots(slots: str, weights: list[Fraction]) -> None:
    assert list(weights_of(slots).values()) == weights


def test_a_backend_without_a_slot_is_refused() -> None:
    with pytest.raises(TooFewSlots, match="backend3"):
        rebalanced(stretched(NAMES[:3], 3), equal(4))
    with pytest.raises(TooFewSlots, match="backend1"):
        rebalanced(stretched(NAMES[:1], 100), {NAMES[0]: Fraction(1000), NAMES[1]: Fraction(1)})
