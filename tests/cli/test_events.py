"""`emperorctl events`: what happens, a line each."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import IO

import pytest

from emperor.cli.arguments import moment
from emperor.cli.events import line, missed
from emperor.model.lifecycle import Event
from emperor.model.status import ReportedState, TransitionEvent, as_json
from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.program import ENVIRONMENT, command
from tests.cli.records import GOAT, NOW
from tests.eventually import PATIENCE_SECONDS, eventually

PARKED, STARTING, RUNNING = ReportedState.PARKED, ReportedState.STARTING, ReportedState.RUNNING
WOKEN = TransitionEvent(1, NOW, GOAT, Event.DEMAND, PARKED, STARTING, None, "hit from 203.0.113.9")
SERVES = TransitionEvent(2, NOW, GOAT, Event.ACCEPTING, STARTING, RUNNING, 0.15, "pid 4711 accepts")


def test_a_line_tells_who_and_what_and_why() -> None:
    text = line(WOKEN).plain
    assert text.endswith(f" {GOAT}: parked → starting, demand: hit from 203.0.113.9")


def test_a_happening_without_a_detail_ends_with_its_event() -> None:
    assert line(replace(WOKEN, detail="")).plain.endswith(", demand")


def test_the_last_event_of_a_vassal_has_no_state_after_it() -> None:
    last = replace(WOKEN, event=Event.REMOVED, after=None, detail="its ini is gone")
    assert line(last).plain.endswith(f" {GOAT}: parked → gone, removed: its ini is gone")


def test_a_gap_in_the_numbers_is_told() -> None:
    assert not missed(None, 17)
    assert not missed(17, 18)
    assert [each.plain for each in missed(17, 20)] == [
        "(2 events lost: emperorctl did not keep up)"
    ]


def test_what_visitors_and_apps_wrote_cannot_steer_the_terminal() -> None:
    hostile = "\x1b[2J[red]\r\n\x07"
    assert line(replace(WOKEN, name=hostile, detail=hostile)).plain.isprintable()


def _happen(emperor: FakeEmperor, *events: TransitionEvent) -> None:
    """These are remembered, and the daemon ends once somebody reads them."""
    for event in events:
        emperor.events.record(event)
    emperor.ends_with_events = True


def test_the_end_of_the_daemon_ends_it_with_status_4(emperor: FakeEmperor, ctl: Ctl) -> None:
    _happen(emperor, WOKEN, SERVES)
    result = ctl("events")
    assert result.status == 4
    assert len(result.out.splitlines()) == 2
    assert result.err == "emperorctl: emperord has ended, and its events with it\n"


def test_the_number_of_past_events_is_asked_of_the_daemon(emperor: FakeEmperor, ctl: Ctl) -> None:
    _happen(emperor, WOKEN, SERVES)
    assert len(ctl("events", "-n", "1").out.splitlines()) == 1
    assert ctl("events", "-n", "0").out == ""


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), [1, 2, 3]),
        (("-n", "1"), [3]),
        (("--domain", GOAT), [1, 2]),
        (("--domain", GOAT, "-n", "1"), [2]),
        (("--domain", GOAT, "--domain", "b.example"), [1, 2, 3]),
        (("--domain", "*"), [1, 2, 3]),
        (("--domain", "*", "-n", "2"), [2, 3]),
        (("--domain", "?.EXAMPLE", "-n", "2"), [3]),
        (("--domain", "?.example", "--domain", GOAT), [1, 2, 3]),
        (("--since", "2026-03-01T12:00:01Z"), [2, 3]),
        (("--since", "999d"), [1, 2, 3]),
        (("--since", "0s"), []),
    ],
)
def test_the_past_events_can_be_chosen(
    emperor: FakeEmperor, ctl: Ctl, options: tuple[str, ...], shown: list[int]
) -> None:
    later = NOW + timedelta(seconds=1)
    for event in (WOKEN, replace(SERVES, at=later), replace(WOKEN, name="b.example", at=later)):
        emperor.events.record(event)
    result = ctl("events", "--once", "--json", *options)
    assert (result.status, result.err) == (0, "")
    assert [json.loads(each)["seq"] for each in result.out.splitlines()] == shown


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("nobody.example", "no such vassal: nobody.example"),
        ("nobody.example&past=0", "no such vassal: nobody.example&past=0"),
        ("*.nobody.example", "no vassal matches '*.nobody.example'"),
    ],
)
def test_an_unknown_domain_fails_once_and_is_waited_for_else(
    emperor: FakeEmperor, ctl: Ctl, domain: str, why: str
) -> None:
    emperor.serve("asleep.example")
    emperor.refuse("broken.example", "no")
    _happen(emperor, WOKEN)
    known = ["asleep.example", "broken.example", "*.example", GOAT]
    arguments = [part for each in [*known, domain] for part in ("--domain", each)]
    result = ctl("events", "--once", *arguments)
    assert (result.status, len(result.out.splitlines())) == (3, 1)
    assert result.err == f"emperorctl: {why}\n"
    assert ctl("events", "--once", *arguments[:-2]).status == 0
    waiting = ctl("events", "--domain", domain)
    assert (waiting.status, waiting.out) == (4, "")
    assert waiting.err.startswith(f"emperorctl: {why}; waiting for its ini\n")


def test_events_of_other_domains_are_not_said_to_be_lost(emperor: FakeEmperor, ctl: Ctl) -> None:
    for name in (GOAT, "b.example", GOAT):
        emperor.events.record(replace(WOKEN, name=name))
    shown = ctl("events", "--once", "--domain", GOAT).out
    assert len(shown.splitlines()) == 2
    assert "lost" not in shown


@pytest.mark.parametrize("domain", [GOAT, f"*{GOAT[1:]}"])
def test_a_new_event_of_another_domain_is_not_sent(emperor: FakeEmperor, domain: str) -> None:
    emperor.events.record(WOKEN)
    with subprocess.Popen(
        command(emperor.run_dir, "events", "--domain", domain),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            for name in ("b.example", GOAT):
                event = replace(SERVES, name=name, detail=f"of {name}")
                emperor.loop.call_soon_threadsafe(emperor.events.record, event)
            assert process.stdout.readline().decode().endswith(f"of {GOAT}\n")
        finally:
            process.kill()


def test_a_time_that_is_none_is_wrong_usage(ctl: Ctl) -> None:
    result = ctl("events", "--since", "soon")
    assert result.status == 2
    assert "'soon' is neither 10m nor '2026-03-01 12:00:00'" in result.err


def test_a_time_without_a_zone_is_local() -> None:
    assert moment("90s", NOW) == NOW - timedelta(seconds=90)
    assert moment("10m ago", NOW) == NOW - timedelta(minutes=10)
    assert moment("2026-03-01 12:00", NOW) == datetime(2026, 3, 1, 12).astimezone()


def test_json_is_passed_on_a_line_each(emperor: FakeEmperor, ctl: Ctl) -> None:
    _happen(emperor, WOKEN, SERVES)
    lines = ctl("events", "--json").out.splitlines()
    assert [json.loads(each) for each in lines] == [as_json(WOKEN), as_json(SERVES)]


def test_a_very_long_event_is_no_obstacle(emperor: FakeEmperor, ctl: Ctl) -> None:
    _happen(emperor, replace(WOKEN, detail="x" * 900_000))
    assert "x" * 900_000 in ctl("events").out


@contextmanager
def running(
    emperor: FakeEmperor, *options: str
) -> Iterator["tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]"]:
    """`emperorctl events` in a process of its own, with its output and its errors."""
    with subprocess.Popen(
        command(emperor.run_dir, "events", *options),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process, process.stdout, process.stderr
        finally:
            process.kill()


def test_an_event_is_shown_at_once_and_ctrl_c_ends_it(emperor: FakeEmperor) -> None:
    emperor.events.record(WOKEN)
    with running(emperor) as (process, out, errors):
        assert b"hit from 203.0.113.9" in out.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130
        assert errors.read().strip() == b""


def test_a_reader_that_leaves_ends_it(emperor: FakeEmperor) -> None:
    for _ in range(100):
        emperor.events.record(replace(WOKEN, detail="x" * 10_000))
    with running(emperor, "-n", "1000") as (process, out, errors):
        out.readline()
        out.close()
        eventually(lambda: process.poll() is not None)
        assert b"Traceback" not in errors.read()
