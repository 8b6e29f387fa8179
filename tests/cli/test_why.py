"""`emperorctl why`: the story of one vassal."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from emperor.cli.why import story
from emperor.model.slow_imports import SlowImport
from emperor.model.status import AppHits, ReportedState, VassalDetail, VassalStatus, Wake
from emperor.model.vassal_text import facts
from emperor.model.wake_text import phases
from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.records import GOAT, NOW, before, detail, parked, running, throttled

HOSTILE = "\x1b[2J[red]\x07\u202e"


def _told(of: VassalDetail) -> dict[str, str]:
    return dict(facts(of, NOW))


def test_it_tells_who_woke_a_vassal_and_when() -> None:
    woken = _told(detail(running(GOAT)))["woken"]
    assert woken.startswith("3m12s ago (")
    assert woken.endswith("): a hit from 203.0.113.9 for GET /cart, agent curl/8.0, request 7f3c0a")


def test_it_tells_how_long_each_phase_of_the_start_took() -> None:
    assert _told(detail(running(GOAT)))["took"] == (
        "1.2 ms to spawn, 153 ms to load the app, 2.4 ms to accept, "
        "5.6 ms to the first reply: 162 ms in all"
    )


def test_it_tells_of_the_registry_that_an_ini_came_from() -> None:
    pulled = detail(replace(running(GOAT), registry_serial=7))
    behind = replace(pulled, not_followed="the registry has a lower serial than 7")
    assert _told(pulled)["ini"].endswith(f"{GOAT}.ini, serial 7 of the registry")
    assert "the registry has a lower serial than 7" in [text for _, text in facts(behind, NOW)]
    assert "registry" not in _told(detail(running(GOAT)))["ini"]


def test_it_tells_where_an_app_runs_that_runs_once() -> None:
    held = detail(replace(parked(GOAT), runs_elsewhere="it runs on 192.0.2.11"))
    assert ("", "it may not run here: it runs on 192.0.2.11") in facts(held, NOW)
    assert not any("may not run here" in text for _, text in facts(detail(parked(GOAT)), NOW))


@pytest.mark.parametrize(
    ("marks", "result"),
    [
        ((None, None, None, None), ""),
        ((1.25, None, None, None), "1.2 ms to spawn"),
        ((1.0, None, 301.0, None), "1.0 ms to spawn, 300 ms to accept: 301 ms in all"),
    ],
)
def test_a_phase_that_has_not_ended_is_left_out(
    marks: tuple[float | None, float | None, float | None, float | None], result: str
) -> None:
    assert phases(Wake("hit", None, None, None, None, None, NOW, *marks)) == result


def test_what_a_start_waited_for_is_no_time_to_spawn() -> None:
    wake = Wake("hit", None, None, None, None, None, NOW, 35258.0, None, 35400.0, None)
    drained = replace(wake, drained_ms=35000.0, turn_ms=35256.8)
    assert phases(drained) == (
        "35000 ms until the old process had ended, 257 ms in the queue of starts,"
        " 1.2 ms to spawn, 142 ms to accept: 35400 ms in all"
    )


@pytest.mark.parametrize("by", ["emperorctl start", "its ini changed", "idle = 0"])
def test_a_first_reply_that_no_visitor_waited_for_is_left_out(by: str) -> None:
    wake = Wake(by, None, None, None, None, None, NOW, 1.0, None, 301.0, 9_000_000.0)
    assert phases(wake) == "1.0 ms to spawn, 300 ms to accept: 301 ms in all"


def test_it_tells_the_last_stop_and_the_next_one() -> None:
    result = _told(detail(running(GOAT)))
    assert result["stopped"].startswith("5h00m ago (")
    assert result["stopped"].endswith("): idle")
    assert result["sleeps"] == "in 26h, unless somebody uses it (idle = 93600)"
    assert (
        _told(detail(replace(running(GOAT), idle_seconds=0)))["sleeps"] == "never: it runs always"
    )
    assert _told(detail(parked(GOAT)))["sleeps"] == "after 26h without a hit"


@pytest.mark.parametrize(
    ("status", "sleeps"),
    [
        (parked(GOAT),
         "until the next hit or start, by an order or an eviction; then it runs always"),
        (replace(parked(GOAT), maintenance_since=NOW),
         "until the end of the maintenance; then it runs always"),
        (throttled(GOAT), "never: it runs always"),
    ],
)  # fmt: skip
def test_an_app_that_runs_always_may_sleep_by_an_order(status: VassalStatus, sleeps: str) -> None:
    assert _told(detail(replace(status, idle_seconds=0)))["sleeps"] == sleeps


def test_it_tells_which_limits_the_app_has_reached() -> None:
    hits = (AppHits("memory-max", 1, before(minutes=9)), AppHits("pids-max", 12, before(hours=2)))
    told = _told(replace(detail(running(GOAT)), limit_hits=hits))["limits"]
    first, second = told.split("; ")
    assert re.fullmatch(r"memory-max reached once, 9m\S* ago \(.*\)", first)
    assert re.fullmatch(r"pids-max reached 12 times, last 2h\S* ago \(.*\)", second)


def test_it_is_wrapped_at_the_width_of_a_terminal() -> None:
    error = " ".join(["the app has no module of that name"] * 9) + "; install it"
    of = replace(detail(running(GOAT)), ini_error=error, aliases=("a" * 100,))
    lines = [line.plain for line in story(of, NOW, 80)]
    assert max(map(len, lines)) <= 80
    texts = " ".join(line[10:].strip() for line in lines)
    assert error in texts
    assert f"{'':10}" + "a" * 30 in "\n".join(lines)


def test_a_vassal_that_never_ran_has_no_history() -> None:
    result = _told(replace(detail(parked(GOAT)), wake=None, last_stop=None))
    assert result["woken"] == "not since emperord started"
    assert result.keys().isdisjoint({"took", "stopped", "failed", "cause", "waiting", "last hit"})


def test_a_failure_has_its_cause_the_retry_and_the_log() -> None:
    of = replace(detail(throttled(GOAT)), log_tail=("Traceback:", "\tboom"))
    result = _told(of)
    assert result["failed"] == (
        "5 times in a row, counted anew after an order to start it, a change of its ini, or 10s of"
        " service; started 5 times in all; the next visitor after 12s starts it again, emperorctl"
        " start at once"
    )
    assert result["cause"] == "exit status 22: ModuleNotFoundError: No module named 'flask'"
    assert [line.plain for line in story(of, NOW)][-3:] == [
        "The end of its log:", "  Traceback:", "  \tboom",
    ]  # fmt: skip


def test_a_slow_start_is_told_with_its_imports() -> None:
    slow = (
        SlowImport("shop.reports", 19800, 90, 1, "shop.views"),
        SlowImport("pandas", 2000, 9, 412, "shop.reports"),
        SlowImport("/srv/shop/application.py", 300, 1, 0, None),
    )
    assert _told(replace(detail(running(GOAT)), slow_imports=slow))["imports"] == (
        "19.8 s (90 %) in shop.reports, which shop.views imports; 2.0 s (9 %) in the 412 modules of"
        " pandas, which shop.reports imports; 0.3 s (1 %) in /srv/shop/application.py itself,"
        " outside of imports"
    )
    assert "imports" not in _told(detail(running(GOAT)))


def test_a_broken_ini_is_told_once_with_what_serves() -> None:
    error = "cannot read a.ini: binary"
    of = replace(detail(replace(running(GOAT), last_error=error)), ini_error=error)
    lines = [line.plain for line in story(of, NOW)]
    assert [line for line in lines if error in line] == [
        f"  {'':10}{error}; the version before it is in service"
    ]


def test_an_ini_that_did_not_start_is_told_in_its_own_words() -> None:
    error = "the new version did not start: boom; the version of Sunday is in effect"
    of = replace(detail(running(GOAT)), ini_error=error, failed_ini_written_at=NOW)
    lines = [line.plain for line in story(of, NOW)]
    assert [line for line in lines if error in line] == [f"  {'':10}{error}"]


def test_the_age_of_what_is_in_effect_is_told() -> None:
    of = replace(detail(running(GOAT)), ini_written_at=NOW - timedelta(hours=2))
    assert "as it was written 2h" in _told(of)["ini"]
    waiting = replace(of, newer_ini_written_at=NOW - timedelta(seconds=9), predecessor_pid=77)
    lines = [line.plain for line in story(waiting, NOW)]
    [line] = [line for line in lines if "a newer version" in line]
    assert "written 9s ago" in line
    assert "waits until pid 77 has finished its requests" in line
    assert not [line for line in story(of, NOW) if "a newer version" in line.plain]


def test_one_that_stops_is_not_said_to_sleep_later() -> None:
    stopping = replace(running(GOAT), state=ReportedState.STOPPING, reap_at=None)
    assert "sleeps" not in _told(detail(stopping))


def test_a_draining_predecessor_and_the_waiting_are_told() -> None:
    busy = replace(running(GOAT), held=3, queued=12)
    result = _told(replace(detail(busy), predecessor_pid=99))
    assert result["state"].endswith("its predecessor, pid 99, finishes its requests")
    assert result["waiting"] == "requests held: 3, connections queued: 12"


def test_one_that_waits_for_its_turn_says_so() -> None:
    result = replace(parked(GOAT), state=ReportedState.STARTING, boot_position=3)
    queued = ", number 3 in the queue of starts (max-starting)"
    assert _told(detail(result))["state"].endswith(queued)
    of_three = replace(detail(result), places_taken=3, places=3)
    assert _told(of_three)["state"].endswith(f"{queued}: apps of its user have 3 of 3 places")


def test_every_path_an_administrator_may_look_for_is_told() -> None:
    result = _told(replace(detail(running(GOAT)), aliases=("goat.example", "www.goat.example")))
    assert result["ini"] == f"/etc/uwsgi/vassals/{GOAT}.ini"
    assert result["socket"] == f"/var/sockets/{GOAT}/socket, activation = fallback"
    assert result["log"] == f"/var/log/emperord/{GOAT}.log"
    assert result["aliases"] == "goat.example, www.goat.example"


def test_foreign_text_cannot_steer_the_terminal() -> None:
    status = replace(throttled(HOSTILE), socket=HOSTILE, last_error=HOSTILE)
    wake = Wake(
        by=HOSTILE,
        client=HOSTILE,
        request_id=HOSTILE,
        method=HOSTILE,
        path=HOSTILE,
        agent=HOSTILE,
        at=before(hours=1),
        spawned_ms=None,
        loaded_ms=None,
        accepting_ms=None,
        first_reply_ms=None,
    )
    of = replace(
        detail(status), ini=HOSTILE, ini_error=HOSTILE + "x", wake=wake, log_tail=(HOSTILE,)
    )
    assert all(line.plain.isprintable() for line in story(of, NOW + timedelta(days=1)))


def test_one_failure_of_many_starts_is_counted_plainly() -> None:
    """As after an order to start it: the row begins anew, and the starts count on."""
    status = replace(throttled(GOAT), consecutive_failures=1, starts=11)
    failed = _told(detail(status))["failed"]
    assert failed.startswith("once, counted anew after an order to start it, ")
    assert "; started 11 times in all; " in failed


def test_each_number_of_memory_says_what_it_is() -> None:
    """The limit counts less than what is resident: the most may be below what there is now."""
    status = replace(running(GOAT), rss_bytes=60 << 20, memory_peak_bytes=6 << 20)
    told = _told(detail(status))
    assert told["memory"] == (
        "60M resident, shared pages counted in each process;"
        " at most 6.0M as memory-max counts it, without its base"
    )
    assert "60M" not in told["state"]
    assert "memory" not in _told(detail(parked(GOAT)))


def test_an_order_starts_an_app_and_only_a_visitor_wakes_it() -> None:
    found = detail(running(GOAT))
    assert found.wake
    told = _told(replace(found, wake=replace(found.wake, by="emperorctl start by uid 0")))
    assert "woken" not in told
    assert "emperorctl start by uid 0" in told["started"]


def test_the_story_is_printed(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(GOAT)
    ctl("start", GOAT)
    outcome = ctl("why", GOAT)
    assert outcome.status == 0
    assert outcome.out.startswith(f"{GOAT}\n  state    running for ")
    assert "pid 100, 0.4s of CPU time" in outcome.out
    assert ": emperorctl start by uid 0\n" in outcome.out


def test_json_is_that_of_the_api(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(GOAT)
    ctl("start", GOAT)
    detail = json.loads(ctl("why", "--json", GOAT).out)
    assert detail["status"]["name"] == GOAT
    assert detail["wake"]["by"] == "emperorctl start by uid 0"


def test_an_unknown_vassal_exits_3(emperor: FakeEmperor, ctl: Ctl) -> None:
    outcome = ctl("why", "nobody.example")
    assert (outcome.status, outcome.err) == (
        3, "emperorctl: there is no vassal nobody.example\n",
    )  # fmt: skip


def test_a_name_that_is_no_path_segment_is_no_vassal_either(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a/../b")
    assert ctl("why", "a/../b").status == 0
    for name in ("..", ".", "", "ü?#%2e"):
        assert ctl("why", name).status == 3


def test_an_ini_that_is_refused_fails_and_says_why(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.refuse("a.example", "cannot read a.example.ini: binary")
    outcome = ctl("start", "a.example")
    assert (outcome.status, outcome.err) == (1, "emperorctl: cannot read a.example.ini: binary\n")
