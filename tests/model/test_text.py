"""How values read on a terminal."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model import text
from tests.cli.records import NOW


@given(st.text(st.characters(codec=None)))
def test_nothing_that_steers_a_terminal_is_left_in_a_plain_text(written: str) -> None:
    assert text.plain(written).isprintable()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("www.example.com", "www.example.com"),
        ("münchen", "münchen"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb", "a\\rb"),
        ("\x9b31m", "\\x9b31m"),
        ("evil\u202etxt.exe", "evil\\u202etxt.exe"),
        ("\udcff", "\\udcff"),
        ("[red]", "[red]"),
    ],
)
def test_control_characters_are_shown_instead_of_sent(written: str, shown: str) -> None:
    assert text.plain(written) == shown


def test_what_is_kept_is_kept_and_nothing_else() -> None:
    assert text.plain("a\tb\nc\x1b", keep="\t\n") == "a\tb\nc\\x1b"


def test_a_traceback_becomes_one_line() -> None:
    assert text.one_line("Traceback:\n  File 'x'\r\n\tboom\x07") == "Traceback: File 'x' boom\\x07"


def test_a_message_is_preceded_by_the_name_it_lacks() -> None:
    assert text.naming("a.example", "no permission") == "a.example: no permission"
    assert text.naming("a.example", "cannot start a.example") == "cannot start a.example"


@given(st.text(), st.integers(min_value=1, max_value=100))
def test_a_shortened_name_fits_and_keeps_both_ends(name: str, width: int) -> None:
    shown = text.middle(name, width)
    assert len(shown) <= width
    if len(name) > width >= 3:
        assert "…" in shown
        assert shown[0] == name[0]
        assert shown[-1] == name[-1]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5.0, "0s"),
        (0.9, "0s"),
        (119.9, "119s"),
        (120, "2m00s"),
        (599, "9m59s"),
        (600, "10m"),
        (7199, "120m"),
        (7200, "2h00m"),
        (35999, "9h59m"),
        (36000, "10h"),
        (93600, "26h"),
        (93599, "26h"),
        (259199, "72h"),
        (259200, "3d"),
    ],
)
def test_a_duration_is_as_fine_as_it_matters(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


@given(st.floats(min_value=-1e6, max_value=86400.0 * 9999))
def test_a_duration_has_at_most_five_characters(seconds: float) -> None:
    assert len(text.duration(seconds)) <= 5


def test_moments_are_told_from_now_and_a_missing_one_as_a_dash() -> None:
    assert text.since(NOW - timedelta(seconds=12), NOW) == "12s"
    assert text.until(NOW + timedelta(hours=26), NOW) == "26h"
    assert text.since(None, NOW) == text.until(None, NOW) == "-"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (None, "-"),
        (0, "0K"),
        (999 * 1024, "999K"),
        (1023 * 1024, "1.0M"),
        (37 * 2**20, "37M"),
        (1300 * 2**20, "1.3G"),
        (2**40, "1T"),
    ],
)
def test_memory_has_at_most_four_characters(size: int | None, shown: str) -> None:
    assert text.memory(size) == shown


@given(st.integers(min_value=0, max_value=2**49))
def test_no_memory_is_wider_than_four_characters(size: int) -> None:
    assert len(text.memory(size)) <= 4


def test_little_cpu_time_is_told_in_tenths() -> None:
    assert [text.cpu(used) for used in (None, 0.0, 0.42, 9.94, 9.96, 4000.0)] == [
        "-", "0.0s", "0.4s", "9.9s", "9s", "67m",
    ]  # fmt: skip
