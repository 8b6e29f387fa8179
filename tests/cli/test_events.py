"""`emperorctl events`: what happens, a line each."""

import json
import signal
import subprocess

from emperor.cli.events import line
from emperor.model.status import TransitionEvent, as_json
from tests.cli.canned_emperor import GOAT, NOW, CannedEmperor
from tests.cli.conftest import Ctl
from tests.cli.program import ENVIRONMENT, command
from tests.eventually import eventually

WOKEN = TransitionEvent(NOW, GOAT, "demand", "parked", "starting", "hit from 203.0.113.9")
SERVES = TransitionEvent(NOW, GOAT, "accepting", "starting", "running", "pid 4711 accepts")


def test_a_line_tells_who_and_what_and_why() -> None:
    told = line(WOKEN).plain
    assert told.endswith(f" {GOAT}: parked → starting, demand: hit from 203.0.113.9")


def test_a_happening_without_a_detail_ends_with_its_event() -> None:
    assert line(TransitionEvent(NOW, GOAT, "idle", "running", "stopping", "")).plain.endswith(
        ", idle"
    )


def test_what_visitors_and_apps_wrote_cannot_steer_the_terminal() -> None:
    hostile = "\x1b[2J[red]\r\n\x07"
    assert line(
        TransitionEvent(NOW, hostile, hostile, hostile, hostile, hostile)
    ).plain.isprintable()


def test_the_end_of_the_daemon_ends_it_with_status_4(emperor: CannedEmperor, ctl: Ctl) -> None:
    emperor.events = (WOKEN, SERVES)
    told = ctl("events")
    assert told.status == 4
    assert len(told.out.splitlines()) == 2
    assert told.err == "emperorctl: emperord has ended, and its events with it\n"


def test_the_number_of_past_events_is_asked_of_the_daemon(emperor: CannedEmperor, ctl: Ctl) -> None:
    emperor.events = (WOKEN, SERVES)
    assert len(ctl("events", "-n", "1").out.splitlines()) == 1
    assert ctl("events", "-n", "0").out == ""


def test_json_is_passed_on_a_line_each(emperor: CannedEmperor, ctl: Ctl) -> None:
    emperor.events = (WOKEN, SERVES)
    lines = ctl("events", "--json").out.splitlines()
    assert [json.loads(each) for each in lines] == [as_json(WOKEN), as_json(SERVES)]


def test_a_very_long_event_is_no_obstacle(emperor: CannedEmperor, ctl: Ctl) -> None:
    emperor.events = (TransitionEvent(NOW, GOAT, "failed", "starting", "throttled", "x" * 900_000),)
    assert "x" * 900_000 in ctl("events").out


def test_an_event_is_shown_when_it_comes_and_ctrl_c_ends_it_without_a_word(
    emperor: CannedEmperor,
) -> None:
    emperor.events = (WOKEN,)
    emperor.events_end = False
    with subprocess.Popen(
        command(emperor.run_dir, "events"),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert b"hit from 203.0.113.9" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            assert process.stderr.read().strip() == b""
        finally:
            process.kill()


def test_a_reader_that_leaves_ends_it(emperor: CannedEmperor) -> None:
    emperor.events = tuple([WOKEN] * 1000)
    emperor.events_end = False
    with subprocess.Popen(
        command(emperor.run_dir, "events", "-n", "1000"),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            process.stdout.readline()
            process.stdout.close()
            eventually(lambda: process.poll() is not None)
            assert b"Traceback" not in process.stderr.read()
        finally:
            process.kill()
