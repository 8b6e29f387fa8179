"""The forms of a duration, and what is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emperor.model.duration import FORMS, format_duration, parse_duration

_MILLISECONDS = st.integers(0, 10**13)
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("26h", 93_600), ("90s", 90), ("5m", 300), ("1d", 86_400), ("1h30m", 5400), ("500ms", 0.5),
        ("1d2h3m4s5ms", 93_784.005), ("0", 0), ("0s", 0), ("60", 60), ("0.5", 0.5), ("0.25s", 0.25),
        ("90m", 5400), ("007", 7), ("1m500ms", 60.5), ("9999999999.999", 9_999_999_999.999),
    ],
)  # fmt: skip
def test_a_duration_is_in_units_or_plain_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "s", "h30m", "soon", "-1", "+1", "-1h", "1e3", "inf", "nan", "1_000", ".5", "5.",
        "0.0001", "1.5h", "0.5ms", "1h30", "30m1h", "1h1h", "1h 30m", " 5", "5 ", "5\n", "26H",
        "5min", "2w", "\u0665", "\u0665s", "12345678901", "12345678901h", "9" * 5000,
    ],
)  # fmt: skip
def test_another_form_is_refused_with_a_list_of_the_forms(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_duration(text)
    assert str(refused.value) == f"must be {FORMS}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.5, "500ms"), (30, "30s"), (60, "1m"), (90, "1m30s"), (3600, "1h"),
        (86_400, "1d"), (93_600, "26h"), (604_800, "7d"), (1.0004, "1s"), (61.5, "1m1s500ms"),
    ],
)  # fmt: skip
def test_a_duration_is_shown_in_its_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(_MILLISECONDS)
@example(10**13)
def test_what_is_shown_reads_as_the_same_duration(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 10**13 - 1))
def test_plain_seconds_have_up_to_three_decimals(milliseconds: int) -> None:
    whole, rest = divmod(milliseconds, 1000)
    assert parse_duration(f"{whole}.{rest:03}") == milliseconds / 1000


@given(st.lists(st.integers(0, 10**10 - 1) | st.none(), min_size=5, max_size=5).filter(any))
def test_units_add_up(numbers: list[int | None]) -> None:
    given_units = [
        (number, unit, size)
        for number, (unit, size) in zip(numbers, _UNITS, strict=True)
        if number is not None
    ]
    text = "".join(f"{number}{unit}" for number, unit, _ in given_units)
    total = sum(number * size for number, _, size in given_units)
    assert parse_duration(text) == total / 1000


@given(st.text("0123456789.dhms -", max_size=8))
def test_a_text_is_a_duration_of_0_or_more_or_is_refused(text: str) -> None:
    try:
        assert 0 <= parse_duration(text) < 10**16
    except ValueError as refused:
        assert str(refused) == f"must be {FORMS}"
