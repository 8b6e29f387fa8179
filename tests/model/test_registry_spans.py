"""Spans of keys: what a watch covers, and what of it was asked for."""

from hypothesis import given
from hypothesis import strategies as st

from emperor.model.registry_keys import Keys, Span
from emperor.model.registry_spans import Spans

KEYS = Keys("/emperord")


def bucket(number: int) -> str:
    """The first key of a bucket."""
    return KEYS.bucket(number).start


@given(st.sets(st.integers(0, 4095), min_size=1, max_size=300), st.integers(1, 120))
def test_few_ranges_cover_all_that_is_wanted(numbers: set[int], most: int) -> None:
    spans = Spans([KEYS.bucket(number) for number in numbers])
    covering = spans.covered_by(most)
    assert len(covering) <= most
    for number in numbers:
        assert any(each.start <= bucket(number) < each.end for each in covering)
    if len(numbers) <= most:
        assert covering == spans.ranges
    assert [n for n in range(4096) if f"{bucket(n)}www.example.com" in spans] == sorted(numbers)


def test_the_smallest_gaps_are_closed() -> None:
    spans = Spans([KEYS.bucket(number) for number in (0x000, 0x100, 0x102, 0x801, 0xC00)])
    assert spans.covered_by(4) == [
        KEYS.bucket(0x000),
        Span(bucket(0x100), KEYS.bucket(0x102).end),
        KEYS.bucket(0x801),
        KEYS.bucket(0xC00),
    ]
    assert len(spans.covered_by(1)) == 1


def test_spans_that_overlap_are_one() -> None:
    spans = Spans([Span("a", "c"), Span("b", "d"), Span("e", "f"), Span("a", "b")])
    assert spans.ranges == [Span("a", "d"), Span("e", "f")]
    assert [key for key in "`abcdef" if key in spans] == ["a", "b", "c", "e"]
