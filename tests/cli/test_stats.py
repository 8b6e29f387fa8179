"""`emperorctl stats` and `why --history`: the past in numbers and as a story."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from emperor.cli.history_lines import history_lines
from emperor.cli.stats import page
from emperor.model.cause import CauseKind
from emperor.model.history import (
    Hour,
    PastStart,
    PastStop,
    StartOutcome,
    Stats,
    StopKind,
    VassalHistory,
    VassalStats,
)
from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.records import GOAT, NOW, before, detail, running

HOSTILE = "\x1b[31mred\u202e\n"


def _start(outcome: StartOutcome, error: str | None = None) -> PastStart:
    wake = detail(running(GOAT)).wake
    assert wake
    return PastStart(wake, CauseKind.HIT, outcome, "forked from a base", error)


HISTORY = VassalHistory(
    GOAT, before(days=3),
    starts=(_start(StartOutcome.ACCEPTED),),
    stops=(PastStop(before(minutes=1), StopKind.STOPPED, "idle", 132.0),),
    hours=(Hour(before(hours=1), 3, 1, 0),), why_none=None,
)  # fmt: skip


def _lines(history: VassalHistory, width: int = 1000) -> list[str]:
    return [line.plain for line in history_lines(history, width)]


def test_a_start_and_a_stop_are_told_in_their_order() -> None:
    name, started, stopped = _lines(HISTORY)
    assert name == GOAT
    assert started.endswith(
        "  started (a hit from 203.0.113.9 for GET /cart, agent curl/8.0, request 7f3c0a):"
        " 1.2 ms to spawn, 153 ms to load the app, 2.4 ms to accept, 5.6 ms to the first reply:"
        " 162 ms in all; forked from a base"
    )
    assert stopped.endswith("  stopped after 2m12s: idle")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (_start(StartOutcome.FAILED, "exit status 22"), "): failed: exit status 22"),
        (_start(StartOutcome.ABANDONED), "): told to stop before it accepted"),
    ],
)
def test_a_start_that_came_to_nothing_says_so(start: PastStart, end: str) -> None:
    assert _lines(replace(HISTORY, starts=(start,)))[1].endswith(end)


def test_foreign_text_cannot_steer_the_terminal() -> None:
    failed = _start(StartOutcome.FAILED, HOSTILE)
    starts = (replace(failed, wake=replace(failed.wake, agent=HOSTILE, path=HOSTILE)),)
    stops = (PastStop(NOW, StopKind.DIED, HOSTILE, 0.0),)
    lines = _lines(replace(HISTORY, name=HOSTILE, starts=starts, stops=stops))
    assert all(line.isprintable() for line in lines)
    row = VassalStats(HOSTILE, 1, 1, 0, 1, None, None)
    stats = Stats(before(days=1), None, (row,), (), None)
    assert all(line.plain.isprintable() for line in page(stats, NOW))


def test_a_story_fits_the_terminal() -> None:
    assert max(map(len, _lines(HISTORY, 80))) <= 80


STATS = Stats(
    before(hours=24), before(days=3),
    vassals=(
        VassalStats("a.example", 3, 2, 0, 9, 101.5, 250.0),
        VassalStats("b.example", 12, 0, 4, 0, None, None),
    ),
    hours=(Hour(before(hours=2), 9, 3, 0), Hour(before(hours=1), 0, 12, 4)),
    why_none=None,
)  # fmt: skip


def test_the_vassals_with_most_starts_stand_first() -> None:
    lines = [line.plain.split() for line in page(STATS, NOW)]
    assert lines[2:5] == [
        ["NAME", "STARTS", "WAKES", "FAILS", "HITS", "MEDIAN", "SLOWEST"],
        ["b.example", "12", "0", "4", "0", "-", "-"],
        ["a.example", "3", "2", "0", "9", "102", "ms", "250", "ms"],
    ]


def test_each_hour_has_a_bar_as_long_as_its_starts() -> None:
    bars = [line.plain.count("█") for line in page(STATS, NOW)[-2:]]
    assert bars == [10, 40]


def test_beyond_two_days_a_line_is_a_day() -> None:
    hours = tuple(Hour(before(hours=n), 1, 1, 0) for n in range(24 * 6, 0, -1))
    lines = [
        line.plain.split() for line in page(replace(STATS, since=before(days=6), hours=hours), NOW)
    ]
    [title] = [number for number, line in enumerate(lines) if line[:1] == ["DAY"]]
    assert sum(int(line[1]) for line in lines[title + 1 :]) == 24 * 6
    assert len(lines) - title <= 9


def test_the_past_is_printed(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(GOAT, aliases=("goat.example",))
    emperor.serve("quiet.example")
    for order in ("start", "sleep"):
        assert ctl(order, GOAT).status == 0
    story = ctl("why", "goat.example", "--history")
    assert (story.status, story.err) == (
        0, f"emperorctl: goat.example is an alias of {GOAT}\n",
    )  # fmt: skip
    assert "started (emperorctl start by uid 0): " in story.out
    assert ": emperorctl sleep by uid 0\n" in story.out
    assert GOAT in ctl("stats").out
    assert GOAT in ctl("stats", "goat.example", "--since", "1h").out
    assert "Nothing has happened." in ctl("stats", "quiet.example").out
    assert json.loads(ctl("stats", "--json").out)["vassals"][0]["name"] == GOAT
    assert json.loads(ctl("why", GOAT, "--history", "--json").out)["stops"][0]["kind"] == "stopped"


def test_an_unknown_vassal_exits_3(emperor: FakeEmperor, ctl: Ctl) -> None:
    for command in (("stats", "nobody.example"), ("why", "nobody.example", "--history")):
        assert ctl(*command).status == 3


def test_a_daemon_that_keeps_no_history_says_why(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(GOAT)
    (emperor.run_dir / "history.db").mkdir()
    for command in (("stats",), ("why", GOAT, "--history")):
        outcome = ctl(*command)
        assert outcome.status == 1
        assert outcome.err.startswith("emperorctl: there is no history: cannot keep the history in")


def test_a_time_is_told_as_such(emperor: FakeEmperor, ctl: Ctl) -> None:
    outcome = ctl("stats", "--since", "yesterday")
    assert outcome.status == 2
    assert "'yesterday' is neither 10m nor" in outcome.err
    assert NOW - timedelta(days=1) == STATS.since
