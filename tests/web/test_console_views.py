"""What the console's pages show, computed from records alone."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emperor.linux.accounts import SystemAccounts
from emperor.model.authority import Caller
from emperor.model.cause import CauseKind
from emperor.model.history import (
    Hour,
    Minute,
    PastStart,
    PastStop,
    Pulse,
    StartOutcome,
    StopKind,
    VassalHistory,
)
from emperor.model.limits import Limits
from emperor.model.refusal import RefusalReason
from emperor.model.status import AppHits, ReportedState, Stop, Wake
from emperor.model.text import since, until
from emperor.model.vassal_text import facts, next_start
from emperor.uwsgi.findings import Finding, Severity
from emperor.web.console import ini_view
from emperor.web.console.csrf import CsrfTokens, is_cross_site
from emperor.web.console.overview import not_served, plots, problem_rows, waiting
from emperor.web.console.plots import HEIGHT, WIDTH, phase_bar, spans, starts_plot, wakes_plot
from emperor.web.console.shown_state import ShownState
from emperor.web.console.story import latest, story
from emperor.web.console.vassal import accepted, fact_of, limit_rows, orders_for, why_slow
from emperor.web.console.vassals import ListQuery, list_query_of
from tests.cli.records import NOW, before, detail, parked, refused, running, throttled
from tests.supervisor.world import settings
from tests.uwsgi.house import spec

ROOT = Caller(0, is_administrator=True)
HOUR = timedelta(hours=1)


def wake(at: datetime, *marks: float | None) -> Wake:
    """A hit, with the milliseconds until each phase: drain, turn, spawn, load, accept."""
    drained, turn, spawned, loaded, accepting = (*marks, *[None] * 5)[:5]
    return Wake(
        by="hit",
        client="203.0.113.9",
        request_id="7f",
        method="GET",
        path="/cart",
        agent="a",
        at=at,
        drained_ms=drained,
        turn_ms=turn,
        spawned_ms=spawned,
        loaded_ms=loaded,
        accepting_ms=accepting,
        first_reply_ms=None,
    )


def start(
    *marks: float | None,
    outcome: StartOutcome = StartOutcome.ACCEPTED,
    error: str | None = None,
    at: datetime = NOW,
) -> PastStart:
    """A start for a visitor."""
    return PastStart(wake(at, *marks), CauseKind.HIT, outcome, "by exec", error)


def took(milliseconds: float) -> PastStart:
    """A start of that length."""
    return start(None, None, 1, milliseconds - 1, milliseconds)


def past(*starts: PastStart, stops: tuple[PastStop, ...] = ()) -> VassalHistory:
    """A history with these."""
    return VassalHistory("a.example", before(days=1), starts, stops, (), None)


def test_hours_without_an_event_are_in_the_plot_too() -> None:
    hours = (Hour(NOW - 2 * HOUR, 9, 4, 1), Hour(NOW, 1, 1, 0), Hour(NOW - 99 * HOUR, 1, 1, 1))
    found = spans(hours, NOW + timedelta(minutes=59), HOUR, 24)
    assert len(found) == 24
    assert [(each.starts, each.failures) for each in found[-3:]] == [(4, 1), (0, 0), (1, 0)]
    assert found[-1].at == NOW
    assert sum(each.starts for each in found) == 5


def test_bars_are_within_the_plot_and_as_high_as_their_number() -> None:
    hours = [Hour(NOW - number * HOUR, 0, number * 5, number) for number in range(24)]
    plot = starts_plot(spans(hours, NOW, HOUR, 24), 6, "The last 24 hours")
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH for bar in plot.bars)
    assert all(bar.y >= 0 and bar.y + bar.height == pytest.approx(HEIGHT) for bar in plot.bars)
    first = [bar for bar in plot.bars if bar.x == 0]
    assert [(bar.kind, bar.height) for bar in first] == [("starts", 80.0), ("failures", 16.0)]
    assert first[0].title.endswith("115 starts, 23 failed")
    assert len(plot.ticks) == 4
    assert plot.summary.startswith("The last 24 hours: 1380 starts, 276 failures; most of them at")


def test_a_plot_of_nothing_has_no_bars() -> None:
    assert starts_plot(spans((), NOW, HOUR, 24), 6, "A day").bars == ()
    assert starts_plot((), 6, "A day").summary == "A day: 0 starts, 0 failures"
    assert wakes_plot(()) is None
    assert plots(Pulse((), (), "history-max-rows is 0"), NOW) == (None, None)


def test_the_hour_is_by_the_minute() -> None:
    day, hour = plots(Pulse((Hour(NOW, 0, 2, 0),), (Minute(NOW, 2, 1),)), NOW)
    assert day and hour
    assert day.summary.startswith("The last 24 hours: 2 starts, 0 failures")
    assert hour.summary.startswith("The last 60 minutes: 2 starts, 1 failure;")


def test_the_wakes_tell_half_the_longest_and_those_that_failed() -> None:
    plot = wakes_plot(
        [took(100), took(300), start(None, None, 1, 50, outcome=StartOutcome.FAILED, error="e")]
    )
    assert plot
    assert (
        plot.summary == "The last 3 wakes: half of them within 200 ms, the longest 300 ms; 1 failed"
    )
    assert [bar.kind for bar in plot.bars] == ["starts", "starts", "failures"]
    one = wakes_plot([took(100)])
    assert one
    assert one.summary == "The last wake: 100 ms"


def test_a_start_that_failed_before_it_began_is_a_bar_too() -> None:
    plot = wakes_plot([start(outcome=StartOutcome.FAILED, error="cannot fork")])
    assert plot
    assert [(bar.kind, bar.height) for bar in plot.bars] == [("failures", 8)]
    assert plot.summary == "The last wake; 1 failed"


def test_a_start_that_failed_measures_no_bar() -> None:
    slow_failure = start(None, None, 1, 9000, outcome=StartOutcome.FAILED, error="e")
    plot = wakes_plot([took(100), slow_failure])
    assert plot
    assert plot.top == "100 ms"
    assert [(bar.kind, bar.height) for bar in plot.bars] == [("starts", 80.0), ("failures", 8)]


def test_a_start_that_nobody_waited_for_is_no_wake() -> None:
    assert wakes_plot([replace(took(100), cause=CauseKind.ORDER)]) is None


def test_phases_stand_side_by_side_on_the_scale_of_the_page() -> None:
    parts = phase_bar(wake(NOW, None, None, 10, 160, 200), 400)
    assert [(part.phase, part.x, part.width, part.took) for part in parts] == [
        ("spawn", 0.0, 15.0, "10 ms"), ("load", 15.0, 225.0, "150 ms"),
        ("accept", 240.0, 60.0, "40 ms"),
    ]  # fmt: skip
    assert phase_bar(wake(NOW), 0) == ()


def test_what_is_down_needs_a_person_before_what_only_complains() -> None:
    complains = replace(running("a.example"), last_error="its ini is broken")
    tries = replace(throttled("c.example"), state=ReportedState.STARTING)
    shown = {"a.example": ShownState.RUNNING, "b.example": ShownState.PARKED,
             "c.example": ShownState.STARTING, "z.example": ShownState.FAILED}  # fmt: skip
    found = problem_rows([complains, throttled("z.example"), parked("b.example"), tries], shown)
    assert [(each.subject, each.note, each.again) for each in found] == [
        ("c.example", "starting", next_start(tries)),
        ("z.example", "failed", next_start(throttled("z.example"))),
        ("a.example", "running", None),
    ]


def test_a_failed_app_keeps_its_place_as_its_delay_ends() -> None:
    first, second = throttled("a.example"), throttled("b.example")
    shown = dict.fromkeys(("a.example", "b.example"), ShownState.FAILED)
    tried = replace(first, state=ReportedState.PARKED, retry_at=None)
    for rows in ([first, second], [tried, second]):
        assert [each.subject for each in problem_rows(rows, shown)] == ["a.example", "b.example"]


def test_an_ini_with_a_name_of_no_host_has_no_page() -> None:
    badly = replace(refused("-", "x"), reason=RefusalReason.BAD_NAME)
    assert [each.page for each in not_served([refused("c.example", "x"), badly])] == [
        "c.example", None,
    ]  # fmt: skip


def test_what_boots_stands_in_the_order_of_the_queue() -> None:
    starting = replace(parked("a.example"), state=ReportedState.STARTING)
    rows = [replace(starting, boot_position=2), replace(starting, name="b", boot_position=1),
            replace(running("c"), held=3), running("d")]  # fmt: skip
    shown = dict.fromkeys(("a.example", "b", "c", "d"), ShownState.STARTING)
    assert [each.status.name for each in waiting(rows, shown, {})] == ["c", "b", "a.example"]


@pytest.mark.parametrize(
    ("marks", "phase"),
    [
        ((None, None, 1, 3000, 3100), "load"),
        ((None, 5000, 5001, 5100, 5200), "turn"),
        ((4000, None, 4001, None, 4100), "drain"),
        ((None, None, 1, 100, 2000), "accept"),
    ],
)
def test_a_slow_start_is_put_down_to_a_phase(marks: tuple[float | None, ...], phase: str) -> None:
    told = why_slow([wake(NOW, *marks)] * 3)
    assert told.startswith("Half of its last 3 starts took ")
    assert f"% of it in the phase {phase}. " in told


def test_a_start_within_a_second_is_not_slow() -> None:
    fast, slow = took(300).wake, took(5000).wake
    assert why_slow([]) == why_slow([fast]) == why_slow([slow, fast, fast]) == ""
    # Only the last ones count.
    assert why_slow([*[fast] * 20, *[slow] * 10]) != ""


def test_starts_that_accepted_are_those_that_may_be_slow() -> None:
    shown, slow = detail(running("a.example")), took(5000)
    assert accepted(shown, past(slow, replace(slow, outcome=StartOutcome.FAILED))) == (slow.wake,)
    none = replace(past(), why_none="history-max-rows is 0")
    assert accepted(shown, none) == (shown.wake,)
    failed = replace(slow.wake, accepting_ms=None)
    assert accepted(replace(shown, wake=failed), none) == ()


def test_the_story_has_starts_and_stops_the_latest_first() -> None:
    stop = PastStop(before(hours=1), StopKind.DIED, "killed by signal 9", 60)
    history = past(
        start(None, None, 1, 80, 90, at=before(hours=3)),
        start(outcome=StartOutcome.FAILED, error="no module", at=before(minutes=3, seconds=12)),
        stops=(stop, replace(stop, at=before(hours=2), kind=StopKind.STOPPED, reason="idle")),
    )
    entries = story(detail(running("a.example")), history)
    assert [(each.title, each.text) for each in entries] == [
        ("start failed", "no module"), ("died", "killed by signal 9; it had served for 60s"),
        ("put to sleep", "idle; it had served for 60s"), ("started", "by exec"),
    ]  # fmt: skip
    assert entries[0].visitor
    assert entries[0].visitor.request == "GET /cart"


def test_a_restart_is_one_entry_and_what_happened_last() -> None:
    by = "console restart by uid 0"
    stop = PastStop(before(minutes=1), StopKind.STOPPED, by, 60)
    begun = replace(took(1300).wake, at=before(minutes=1), by=by)
    again = replace(took(1300), wake=begun, cause=CauseKind.ORDER)
    entries = story(detail(running("a.example")), past(again, stops=(stop,)))
    assert [(each.title, each.text) for each in entries] == [
        ("restarted", "by exec; it had served for 60s")
    ]
    told = latest(entries)
    assert told.startswith("restarted ")
    assert told.endswith(", by console restart by uid 0, accepted after 1.3 s")
    assert latest(()) == ""


def test_equal_failures_in_a_row_are_one_entry() -> None:
    starts = [
        start(outcome=StartOutcome.FAILED, error=error, at=before(seconds=90 - place))
        for place, error in enumerate(["x", "x", "x", "y", "x"])
    ]
    entries = story(detail(running("a.example")), past(*starts))
    assert [(each.text, each.times) for each in entries] == [("x", 1), ("y", 1), ("x", 3)]
    assert (entries[2].at, entries[2].first) == (before(seconds=88), before(seconds=90))


def test_a_fact_has_its_time_apart_since_it_goes_on() -> None:
    shown = detail(throttled("a.example"))
    for label, text in facts(shown, NOW):
        fact = fact_of(label, text, shown, NOW)
        number = until if fact.is_left else since
        middle = number(fact.moment, NOW) if fact.moment else ""
        assert fact.before + middle + fact.after == text
        assert (fact.moment is not None) == (
            label in ("state", "woken", "last hit", "stopped", "failed")
        ), label


def test_a_boot_is_in_the_story_before_it_ends() -> None:
    starting = replace(parked("a.example"), state=ReportedState.STARTING)
    [entry] = story(detail(starting), past())
    assert (entry.title, entry.phases) == ("starts now", ())


def test_without_a_history_the_last_start_and_stop_are_told() -> None:
    none = replace(past(), why_none="history-max-rows is 0")
    shown = detail(running("a.example"))
    assert [each.title for each in story(shown, none)] == ["started", "stopped"]
    last = replace(took(900).wake, by="emperorctl restart by uid 0")
    stop = Stop(last.at + timedelta(milliseconds=3), last.by)
    restarted = replace(shown, wake=last, last_stop=stop)
    assert [each.title for each in story(restarted, none)] == ["restarted"]
    status = replace(parked("a.example"), last_error="no module")
    failed = replace(shown, wake=wake(NOW, None, None, 1), last_stop=None, status=status)
    assert [(each.title, each.text) for each in story(failed, none)] == [
        ("start failed", "no module")
    ]


def test_a_remark_on_a_line_that_is_left_out_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ini = tmp_path / "a.example.ini"
    ini.write_text("[uwsgi]\n" + "x = y\n" * 1199)
    found = [Finding(line, Severity.WARNING, "bad", "mend it") for line in (2, 1200)]
    monkeypatch.setattr("emperor.web.console.ini_view.findings", lambda *_: found)
    app = spec("[uwsgi]\nsocket = /s/a.example/socket\nfile = /x.py\n")
    shown = ini_view.view(str(ini), os.getuid(), app, settings(), SystemAccounts())
    assert (len(shown.lines), shown.left_out) == (1000, 200)
    assert shown.lines[1].remarks[0].text == "bad; mend it"
    assert [each.text for each in shown.general] == ["line 1200: bad; mend it"]


def test_limits_are_told_with_the_hits_of_the_app() -> None:
    hits = (AppHits("memory-max", 2, before(minutes=9)), AppHits("tenant-memory-max", 3, NOW),
            AppHits("tenant-pids-max", 1, NOW), AppHits("memory", 9, NOW))  # fmt: skip
    limits = Limits(memory_max=2**26, cpu_max=50)
    rows = limit_rows(limits, Limits(pids_max=500), hits, 50 << 20)
    told = {row.name: (row.of_app, row.of_tenant, row.hits, row.last_at) for row in rows}
    assert told["memory-max"] == ("64M", "none", 5, NOW)
    assert {row.name: row.used for row in rows if row.used} == {"memory-max": "50M"}
    assert told["pids-max"] == ("none", "500", 1, NOW)
    assert told["cpu-max"] == ("50 %", "none", 0, None)
    assert told["cpu-weight"] == ("100", "100", 0, None)
    assert told["nofile"] == ("none", "", 0, None)


def test_buttons_are_those_that_make_sense_now() -> None:
    def names(caller: Caller, uid: int | None = None, **fields: object) -> list[str]:
        status = replace(parked("a.example"), uid=uid, **fields)  # type: ignore[arg-type]
        return [order.name for order in orders_for(status, caller)]

    assert names(ROOT) == ["start", "maintenance-on"]
    every = ["reload", "restart", "sleep", "restart-fresh", "maintenance-on"]
    assert names(ROOT, pid=1) == every
    assert names(ROOT, maintenance_since=NOW) == ["maintenance-off"]
    tenant = Caller(1001, is_administrator=False)
    assert names(tenant, 1001) == ["start"]
    assert names(tenant, 1001, pid=1) == every[:-1]
    assert names(tenant, 1001, maintenance_since=NOW) == []


def test_a_link_of_the_list_means_what_it_says() -> None:
    query = {"q": " Shop ", "state": "running", "tenant": "1001", "runtime": "base", "trouble": "1",
             "sort": "wake", "reverse": "1", "page": "3"}  # fmt: skip
    found = list_query_of(query)
    assert found == ListQuery("Shop", "running", "1001", "base", "1", "wake", "1", 3)
    assert found.host == "shop"
    assert list_query_of(found.parts | {"page": "3"}) == found
    assert (
        list_query_of({name: "../<x>" for name in query if name not in ("q", "trouble", "reverse")})
        == ListQuery()
    )
    assert len(list_query_of({"q": "x" * 9999}).q) == 253


def test_a_token_is_for_one_user_and_one_daemon() -> None:
    tokens = CsrfTokens()
    assert tokens.is_valid(tokens.of(1001), 1001)
    assert not tokens.is_valid(tokens.of(1001), 1002)
    assert not tokens.is_valid(CsrfTokens().of(1001), 1001)
    assert not tokens.is_valid("\udcff", 1001)


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": "null"}, False),
        ({"Origin": "https://ops.example", "Host": "ops.example"}, False),
        ({"Origin": "https://ops.example:8443", "Host": "ops.example"}, True),
        ({"Origin": "https://ops.example", "Host": "x", "X-Forwarded-Host": "ops.example"}, False),
        ({"Origin": "https://evil.example", "Host": "ops.example"}, True),
    ],
    ids=str,
)
def test_an_order_of_another_site_is_told_by_its_headers(
    headers: dict[str, str], foreign: bool
) -> None:
    assert is_cross_site(headers) is foreign


def test_times_of_other_zones_are_no_other_hours() -> None:
    zone = NOW.astimezone(UTC)
    assert spans((Hour(zone, 0, 1, 0),), NOW, HOUR, 1)[0].starts == 1
