"""The comparison with the peers: what a contest keeps of a side, and what the page says of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from docs.benchmarks_page import SECTIONS, page
from docs.figures import FIGURES, Compared, Figures, Side, read
from tests.bench.peers.contest import Contest, contest
from tests.bench.rounds import Bench

BENCH = Bench(quick=False, tell=lambda _: None)
ROW = "a nap, trivial"


def results(*seconds: float) -> Callable[[], float]:
    """A side that measures these values, one after the other."""
    values = iter(seconds)
    return lambda: next(values)


def test_a_row_has_medians_spread_ratios_and_absences() -> None:
    empty: Contest[float] = Contest("naps", {}, {"b": "cannot: no bed"}, frozenset({"c"}))
    sides = {"a": results(9.0, 1.0, 4.0, 2.0), "b": results(), "c": results(9.0, 2.0, 2.0, 2.0)}
    row = contest(BENCH, sides, empty, 3).row(ROW, "ms", float, to="c", note=lambda all_: "rested")
    assert row.what == ROW
    assert row.compared == Compared(
        "naps",
        "ms",
        date.today().isoformat(),
        "c",
        False,
        {
            "a": Side(2000.0, 1000.0, 4000.0, 3, 1.0, "rested"),
            "c": Side(2000.0, 2000.0, 2000.0, 3, None, "rested", is_floor=True),
            "b": Side(note="cannot: no bed"),
        },
    )


def test_a_peer_that_fails_is_told_and_costs_no_other() -> None:
    def broken() -> float:
        raise ConnectionError("it answered 502")

    empty: Contest[float] = Contest("naps", {})
    seen = contest(BENCH, {"a": results(1.0, 1.0), "b": broken}, empty, 2, warm_up=False)
    assert seen.seen == {"a": [1.0, 1.0]}
    assert seen.absent == {"b": "not measured: it answered 502"}


def test_a_contest_without_emperord_is_none() -> None:
    def broken() -> float:
        raise ConnectionError("it answered 502")

    empty: Contest[float] = Contest("naps", {})
    with pytest.raises(ConnectionError):
        contest(BENCH, {"emperord": broken, "b": results(1.0)}, empty, 1)


def compared(more_is_better: bool = False, **medians: float) -> Figures:
    """The figures of one row with these medians."""
    sides = {name: Side(value, value, value, 3) for name, value in medians.items()}
    floor = {"floor": Side(0.5, 0.5, 0.5, 3, is_floor=True), "gone": Side(note="cannot: no bed")}
    row = Compared(SECTIONS[0].rows, "ms", "2026-01-01", "", more_is_better, sides | floor)
    return replace(read(FIGURES), compared={ROW: row})


def test_a_peer_that_wins_is_kept_in_print() -> None:
    text = page(compared(emperord=2.0, rival=1.0))
    assert f"- {ROW}: rival 1 ms, emperord 2 ms\n" in text
    assert "| **rival** | 1 ms | 1 to 1 ms | 3 |" in text
    assert "| *floor* | 0.5 ms |" in text
    assert "- gone: cannot: no bed" in text


def test_a_win_within_the_spread_is_told_as_that() -> None:
    figures = compared()
    sides = {"emperord": Side(2.0, 1.5, 4.0, 3), "rival": Side(1.0, 0.5, 1.5, 3)}
    row = replace(figures.compared[ROW], sides=sides)
    text = page(replace(figures, compared={ROW: row}))
    assert f"- {ROW}: rival 1 ms, emperord 2 ms; the spreads overlap\n" in text


@pytest.mark.parametrize(
    "figures",
    [compared(emperord=1.0, rival=2.0), compared(more_is_better=True, emperord=2.0, rival=1.0)],
    ids=["less", "more"],
)
def test_a_row_that_emperord_wins_is_not_listed(figures: Figures) -> None:
    text = page(figures)
    assert "In none of the rows below." in text
    assert "| **emperord** |" in text
