"""The benchmark writes the figures that the documentation quotes."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from docs.figures import FIGURES, Figures, Limit, Measured, Noted, Rival, filled, read, write
from docs.limits_part import limits_part
from tests.bench.figures import OtherMachine, Record, this_machine
from tests.bench.report import row

HERE = this_machine()
EARLIER = {
    "start": Measured("ms", 20.0, 15, "2026-01-01", {"Emperor": Rival(30.0, 0.667)}),
    "stop": Measured("ms", 7.0, 15, "2026-01-01", {}),
}
NOTED = {"weight": Noted(1.5, "MB", "2026-01-01", "a scale")}
START = row("start", "ms", {"ours": [0.0101234, 0.0101234], "Emperor": [0.02, 0.02]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "figures.json"
    write(path, Figures(HERE, EARLIER, NOTED))
    return path


def test_a_run_writes_medians_ratios_units_and_its_day(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    Record.of(path, whole=False).write([START], [], is_complete=True)
    rivals = {"Emperor": Rival(20.0, 0.5062)}
    expected = Measured("ms", 10.12, 2, date.today().isoformat(), rivals, 10.12, 10.12)
    assert read(path) == Figures(HERE, {"start": expected}, {})


def test_a_run_of_some_rows_leaves_the_others(path: Path) -> None:
    Record.of(path, whole=False).write([START], [], is_complete=True)
    figures = read(path)
    assert figures.measured["start"].ours == 10.12
    assert figures.measured["stop"] == EARLIER["stop"]
    assert figures.noted == NOTED


def test_a_run_of_all_rows_leaves_no_old_one(path: Path) -> None:
    Record.of(path, whole=True).write([START], [], is_complete=True)
    assert list(read(path).measured) == ["start"]
    assert read(path).noted == NOTED


def test_a_run_that_broke_leaves_what_it_did_not_measure(path: Path) -> None:
    Record.of(path, whole=True).write([START], [], is_complete=False)
    assert list(read(path).measured) == ["start", "stop"]


def test_rows_of_two_machines_are_not_mixed(path: Path) -> None:
    write(path, Figures(replace(HERE, cores=HERE.cores + 1), EARLIER, NOTED))
    with pytest.raises(OtherMachine, match="measure all rows"):
        Record.of(path, whole=False)
    Record.of(path, whole=True).write([START], [], is_complete=False)
    assert list(read(path).measured) == ["start"]


@pytest.mark.parametrize(
    ("limit", "shown", "result"),
    [
        (Limit(10.0), "| ≤ 10 ms | 10.1 ms |", "**missed**"),
        (Limit(11.0), "| ≤ 11 ms | 10.1 ms |", "kept"),
        (Limit(10.0, at_least=True), "| ≥ 10 ms | 10.1 ms |", "kept"),
        (Limit(0.5, over="Emperor"), "| ≤ 0.50 of Emperor | 0.506 |", "**missed**"),
        (Limit(0.5, at_least=True, over="Emperor"), "| ≥ 0.50 of Emperor | 0.506 |", "kept"),
        (Limit(0.5, over="nobody"), "| ≤ 0.50 of nobody | - |", "not comparable"),
    ],
)
def test_a_page_tells_which_limits_are_missed(limit: Limit, shown: str, result: str) -> None:
    measured = replace(START.measured, limit=limit, rows="starts")
    part = limits_part({"start": measured, "another": EARLIER["stop"]})
    assert f"| start | starts {shown} 10.1 to 10.1 ms | 2 | {result} |" in part
    assert "another" not in part


def test_a_missed_limit_has_its_reason() -> None:
    measured = replace(START.measured, limit=Limit(10.0))
    assert "Why some are missed" in limits_part({"cold start, trivial": measured})
    assert "Why some are missed" not in limits_part({"start": measured})


def test_a_row_that_is_not_measured_yet_is_left_out() -> None:
    page, figures = FIGURES.parent / "reliability.md", read(FIGURES)
    new = "10,000 parked, touch of all: "
    rows = {
        new + name: Measured("s", 0.125, 15, "2026-01-01", {})
        for name in ("done", "longest wait for control.sock", "longest wait for the health answer")
    }
    others = {name: row for name, row in figures.measured.items() if name not in rows}
    line = "| all of 10,000 inis are touched: done after | 0.125 s |"
    assert line in filled(page, replace(figures, measured=others | rows))
    assert "all of 10,000 inis" not in filled(page, replace(figures, measured=others))


def test_a_page_that_quotes_an_unknown_row_is_refused() -> None:
    page = FIGURES.parent / "reliability.md"
    with pytest.raises(KeyError, match=r"no row '.*' in docs/figures.json"):
        filled(page, Figures(HERE, EARLIER, {}))
