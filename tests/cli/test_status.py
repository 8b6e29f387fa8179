"""`emperorctl status`: the table, what stands below it, and what it does on a terminal."""

import json
import signal
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.cells import cell_len

from emperor.cli.status import Room, awake_first, only, page
from emperor.cli.table import HEADER, Row, rows, table
from emperor.model.registry_status import MembershipStatus, NotFollowed, RegistryStatus
from emperor.model.status import Report, ReportedState
from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.program import finished, on_terminal
from tests.cli.records import (
    GOAT,
    NOW,
    draining,
    parked,
    refused,
    report,
    running,
    throttled,
)
from tests.eventually import PATIENCE_SECONDS, eventually

HOSTILE = "\x1b]0;owned\x07[red]\u202e\r\nwww"


def _plain(
    status: Report, width: int = 80, height: int = 10**6, *, has_peak: bool = False
) -> list[str]:
    return [line.plain for line in page(status, NOW, Room(width, height, has_peak))]


def test_a_running_vassal_is_told_in_full() -> None:
    assert rows(report(running(GOAT)), NOW) == (
        Row(GOAT, "running", "3m12s", "12s", "26h", "3", "0", "37M", "52M", "0.4s", "-"),
    )


def test_what_does_not_apply_to_a_sleeping_vassal_is_a_dash() -> None:
    assert rows(report(parked(GOAT)), NOW) == (
        Row(GOAT, "parked", "5h00m", "-", "-", "0", "0", "-", "-", "-", "-"),
    )


def test_one_in_line_has_its_number_beside_its_state() -> None:
    (row,) = rows(report(replace(parked(GOAT), state=ReportedState.STARTING, boot_position=3)), NOW)
    assert row.state == "starting #3"


def test_maintenance_is_counted_once_and_not_as_parked() -> None:
    closed = replace(parked("b.example"), maintenance_since=NOW)
    line = _plain(report(running(GOAT), parked("a.example"), closed))[0]
    assert line.endswith(": 1 running, 1 parked, 1 in maintenance")
    assert _plain(report(closed))[0].endswith(": 1 in maintenance")


def test_waiting_requests_are_those_held_and_those_queued() -> None:
    (row,) = rows(report(replace(running(GOAT), held=3, queued=12)), NOW)
    assert row.waiting == "3+12"


def test_the_whole_name_of_the_talks_app_fits_80_columns() -> None:
    lines = _plain(report(running(GOAT), throttled("broken.example"), parked("a.example")))
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(f"{GOAT} running ") for line in lines)


def test_the_widest_values_still_fit_eighty_columns() -> None:
    wide = replace(
        running("x" * 87),
        state=ReportedState.RELOADING,
        boot_position=9999,
        state_since=NOW - timedelta(days=9999),
        last_hit_at=NOW - timedelta(days=9999),
        reap_at=NOW + timedelta(days=9999),
        starts=99999,
        consecutive_failures=9999,
        rss_bytes=2**40 - 1,
        cpu_seconds=9e8,
        held=5000,
        queued=4096,
    )
    lines = [line.plain for line in table(rows(report(wide), NOW), 80)]
    assert [len(line) for line in lines] == [80, 80]
    assert lines[1].startswith("xx")
    assert "…" in lines[1]


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (80, "NAME STATE FOR HIT REAP STARTS FAILS MEM CPU WAIT"),
        (60, "NAME STATE FOR HIT REAP FAILS WAIT"),
        (40, "NAME STATE FOR FAILS"),
        (30, "NAME STATE"),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns(width: int, headings: str) -> None:
    lines = [line.plain for line in table(rows(report(running(GOAT)), NOW), width)]
    assert lines[0].split() == headings.split()
    assert max(map(cell_len, lines)) <= width
    assert len(lines[1].split(" ")[0]) >= 20


def test_a_wide_terminal_shows_long_names_whole() -> None:
    name = ".".join(["subdomain"] * 8)
    assert name in _plain(report(running(name)), width=140)[3]
    assert name not in _plain(report(running(name)), width=80)[3]


def test_every_column_has_a_heading_above_it() -> None:
    report_ = report(replace(running("a.example"), held=1))
    heading, line = _plain(report_, has_peak=True)[2:4]
    assert heading.split() == list(HEADER)
    assert len(heading) == len(line)
    assert "PEAK" not in _plain(report_)[2]


def test_errors_and_refused_inis_stand_below_the_table() -> None:
    status = report(throttled("a.example"), inis=(refused("b", "cannot read b.ini: binary"),))
    lines = _plain(status, width=200)
    assert lines[-2] == (
        "a.example (the next visitor after 12s starts it again): exit status 22: "
        "ModuleNotFoundError: No module named 'flask'"
    )
    assert lines[-1] == "not served: cannot read b.ini: binary"


@pytest.mark.parametrize("height", [24, sys.maxsize])
def test_an_error_is_wrapped_with_its_cure_at_the_end(height: int) -> None:
    error = "cannot import " + "flask, " * 30 + "which is not there; install it"
    lines = _plain(report(replace(throttled("a.example"), last_error=error)), height=height)
    assert max(map(cell_len, lines)) <= 80
    assert lines[5].startswith(
        "a.example (the next visitor after 12s starts it again): cannot import "
    )
    assert lines[6].startswith("  flask, ")
    assert " ".join(" ".join(lines[5:]).split()).endswith("which is not there; install it")


def test_an_error_that_fills_a_screen_is_cut() -> None:
    status = report(*(replace(throttled(name), last_error="x " * 900) for name in ("a", "b")))
    lines = _plain(status, height=24)
    assert len(lines) <= 24
    assert lines[-2].endswith("…")
    assert lines[-1] == "… and 1 more"


def test_what_apps_and_inis_wrote_cannot_steer_the_terminal() -> None:
    vassal = replace(throttled(HOSTILE), last_error=HOSTILE)
    lines = _plain(report(vassal, inis=(refused(HOSTILE, HOSTILE),)))
    assert all(line.isprintable() for line in lines)
    assert any("[red]" in line for line in lines)


def test_the_first_line_counts_the_vassals_by_state() -> None:
    status = report(running("a"), parked("b"), parked("c"), throttled("d"))
    assert _plain(status)[0] == (
        "emperord 0.1.0, pid 815, up 3d: 1 throttled, 1 running, 2 parked; 1 failed"
    )


def test_the_first_line_counts_what_needs_an_administrator() -> None:
    serving = replace(running("c"), last_error="the new version did not start")
    status = report(throttled("a"), throttled("b"), serving, inis=(refused("d", "no"),))
    assert _plain(status, width=200)[0].endswith("; 3 failed; 1 not served")
    assert _plain(status, width=75)[:2] == [
        _plain(status)[0].removesuffix("served").rstrip(),
        "  served",
    ]
    assert "failed" not in _plain(report(running("a")))[0]


def test_a_machine_that_drains_says_so_in_the_second_line() -> None:
    status = draining(report(running(GOAT)), NOW - timedelta(minutes=3))
    assert _plain(status)[1] == (
        "draining for 3m00s: load balancers are sent elsewhere until emperorctl undrain"
    )
    assert len(_plain(status, height=5)) == 5
    assert not any("draining" in line for line in _plain(report(running(GOAT))))


def test_a_registry_that_is_away_and_its_troubles_are_told() -> None:
    behind = NotFollowed("b.example", "the registry has a lower serial than 7")
    away = RegistryStatus(NOW - timedelta(minutes=3), "no member answers", 12, 3, (behind,))
    status = report(running(GOAT))
    status = replace(status, emperor=replace(status.emperor, registry=away))
    lines = _plain(status)
    assert lines[0].endswith(": 1 running, 12 of the registry")
    assert lines[1].startswith("the registry is not reached for 3m00s: 12 inis that came from it")
    assert lines[-2:] == ["b.example: the registry has a lower serial than 7", "… and 2 more"]
    assert len(_plain(status, height=9)) <= 9
    assert "b.example: the" not in "".join(_plain(only(status, [GOAT])))


def test_it_says_where_an_app_runs_that_runs_once() -> None:
    held = replace(parked("once.example"), runs_elsewhere="it runs on 192.0.2.11")
    status = report(running(GOAT), held)
    line = "once.example: it may not run here: it runs on 192.0.2.11"
    assert _plain(status)[-1] == line
    assert "failed" not in _plain(status)[0]
    assert line not in _plain(only(status, [GOAT]))
    crowd = [replace(held, name=f"{number}.example") for number in range(30)]
    assert _plain(report(*crowd), height=20)[-1].endswith(" more")


def test_it_says_why_this_machine_is_no_backend_of_the_fleet() -> None:
    reached, status = RegistryStatus(None, None, 12, 0), report(running(GOAT))
    taken = MembershipStatus(False, None, 4, "another machine has that address")

    def told(registry: RegistryStatus, membership: MembershipStatus) -> str:
        emperor = replace(status.emperor, registry=registry, membership=membership)
        return "\n".join(_plain(replace(status, emperor=emperor)))

    line = "not confirmed as a backend of the fleet: another machine has that address"
    assert line in told(reached, taken)
    assert "as a backend" not in told(reached, MembershipStatus(True, NOW, 4, None))
    away = replace(reached, unreached_since=NOW, why="no member answers")
    assert "as a backend" not in told(away, taken), "one line says it"


def test_it_says_that_the_file_of_the_registry_has_changed() -> None:
    status = report(running(GOAT))
    registry = RegistryStatus(None, None, 12, 0, changed_file="cannot use registry.ini: line 2")
    told = _plain(replace(status, emperor=replace(status.emperor, registry=registry)))
    assert told[1] == "cannot use registry.ini: line 2"


def test_the_first_line_tells_of_a_flood() -> None:
    status = report(running("a.example"))
    status = replace(status, emperor=replace(status.emperor, held=5000, turned_away=12))
    assert _plain(status)[0].endswith(": 1 running, 5000 held, 12 turned away")


def test_it_says_who_yields_the_cpu() -> None:
    status = report(running("a.example"))
    for users, said in ((("bob",), "bob yields"), (("al", "bob"), "al, bob yield")):
        emperor = replace(status.emperor, yielding=users)
        line = _plain(replace(status, emperor=emperor))[1]
        assert line.startswith(f"{said} the CPU to others, while the apps take all")


def test_without_vassals_it_says_how_to_add_one() -> None:
    assert any("mv www.example.com.ini /etc/uwsgi/vassals/" in line for line in _plain(report()))


@pytest.mark.parametrize("height", [8, 10, 24, 50])
def test_a_screen_is_never_overfull_and_says_what_it_leaves_out(height: int) -> None:
    vassals = [throttled(f"broken{n}.example") for n in range(30)]
    vassals += [parked(f"asleep{n}.example") for n in range(1000)]
    lines = _plain(awake_first(report(*reversed(vassals))), height=height)
    assert len(lines) == height
    shown = sum(" throttled " in line or " parked " in line for line in lines[3:])
    assert f"… and {1030 - shown} more" in lines
    assert "broken0.example" in lines[3]


def test_a_failed_app_keeps_its_place_as_its_delay_ends() -> None:
    rest = (parked("a.example"), running("r.example"), throttled("z.example"))
    failed = throttled("f.example")
    pardoned = replace(failed, state=ReportedState.PARKED, retry_at=None)
    for each in (failed, pardoned):
        found = awake_first(report(*rest, each)).vassals
        names = ["f.example", "z.example", "r.example", "a.example"]
        assert [vassal.name for vassal in found] == names


def test_a_screen_that_is_large_enough_leaves_nothing_out() -> None:
    status = report(running("a"), throttled("b"))
    assert _plain(status, height=len(_plain(status))) == _plain(status)


def test_json_is_the_apis_own(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(GOAT)
    emperor.refuse("b.example", HOSTILE)
    outcome = ctl("status", "--json")
    assert outcome.status == 0
    status = json.loads(outcome.out)
    assert [(vassal["name"], vassal["state"]) for vassal in status["vassals"]] == [(GOAT, "parked")]
    assert status["refused"] == [
        {"file": "b.example.ini", "domain": "b.example", "reason": "broken-ini", "error": HOSTILE}
    ]


def test_named_vassals_are_shown_alone_a_refused_one_too(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.example", "b.example")
    emperor.refuse("c.example", "no")
    shown = ctl("status", "b.example", "c.example")
    assert shown.status == 0
    assert "a.example" not in shown.out
    assert "b.example" in shown.out
    assert "c.example.ini: no" in shown.out
    status = json.loads(ctl("status", "--json", "a.example").out)
    assert [vassal["name"] for vassal in status["vassals"]] == ["a.example"]
    assert status["refused"] == []


def test_failed_ones_are_shown_alone(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.example")
    assert "No vassal has failed" in ctl("status", "--failed").out
    emperor.serve("b.example").ini_error = "cannot read it"
    emperor.refuse("c.example", "no")
    shown = ctl("status", "--failed")
    assert shown.status == 0
    assert "2 parked; 1 failed; 1 not served" in shown.out
    assert "a.example" not in shown.out
    assert "b.example parked" in shown.out
    assert "c.example.ini: no" in shown.out
    listed = json.loads(ctl("status", "--failed", "--json").out)
    assert [vassal["name"] for vassal in listed["vassals"]] == ["b.example"]
    assert [ini["domain"] for ini in listed["refused"]] == ["c.example"]


def test_an_unknown_vassal_is_named_and_exits_3(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.example")
    outcome = ctl("status", "a.example", "nobody.example")
    assert outcome.status == 3
    assert outcome.err == "emperorctl: no such vassal: nobody.example\n"
    assert "a.example" in outcome.out
    assert ctl("status", "nobody.example").out == ""


def test_a_pattern_means_vassals_and_refused_inis(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.test", "b.test", "c.example")
    emperor.refuse("broken.test", "no")
    shown = ctl("status", "--json", "*.test", "a.test")
    assert (shown.status, shown.err) == (0, "")
    listed = json.loads(shown.out)
    assert [vassal["name"] for vassal in listed["vassals"]] == ["a.test", "b.test"]
    assert [ini["domain"] for ini in listed["refused"]] == ["broken.test"]
    outcome = ctl("status", "c.example", "*.org")
    assert (outcome.status, "c.example" in outcome.out) == (3, True)
    assert outcome.err == "emperorctl: no vassal matches '*.org'\n"


def test_a_pipe_gets_no_colour_and_nothing_cut_short(emperor: FakeEmperor) -> None:
    name, error = "x" * 87, "cannot " * 50 + "do it"
    emperor.serve(name).ini_error = error
    result = finished(emperor.run_dir, "status")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    assert f"{name} parked" in result.stdout
    assert f": {error}\n" in result.stdout


def test_a_terminal_gets_colour_unless_no_color_is_set(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(GOAT)
    ctl("start", GOAT)
    with on_terminal(emperor.run_dir, "status") as program:
        assert program.process.wait(PATIENCE_SECONDS) == 0
        assert "\x1b[32mrunning" in program.screen()
    with on_terminal(emperor.run_dir, "status", extra={"NO_COLOR": "1"}) as program:
        assert program.process.wait(PATIENCE_SECONDS) == 0
        assert "\x1b[32m" not in program.screen()
        assert "running" in program.screen()


def test_a_terminal_that_knows_no_utf8_is_no_reason_to_fail(emperor: FakeEmperor) -> None:
    emperor.serve("x" * 87)
    with on_terminal(emperor.run_dir, "status", extra={"PYTHONIOENCODING": "ascii"}) as program:
        assert program.process.wait(PATIENCE_SECONDS) == 0
        assert "xx" in program.screen()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_watch_follows_changes_and_restores_the_terminal(
    emperor: FakeEmperor, ctl: Ctl, ending: signal.Signals
) -> None:
    emperor.serve(GOAT)
    with on_terminal(emperor.run_dir, "status", "--watch") as program:
        alive = [program.process]
        eventually(lambda: "1 parked" in program.screen(), alive)
        assert ctl("start", GOAT).status == 0
        eventually(lambda: "1 running" in program.screen(), alive)
        program.process.send_signal(ending)
        assert program.process.wait(PATIENCE_SECONDS) == 130
        screen = program.screen()
    assert "Traceback" not in screen
    assert screen.rindex("\x1b[?1049l") > screen.rindex("\x1b[?1049h")
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")


def test_watch_needs_a_terminal(ctl: Ctl) -> None:
    outcome = ctl("status", "--watch")
    assert outcome.status == 2
    assert "--watch needs a terminal" in outcome.err


def test_a_backend_without_vassals_tells_what_is_not_followed() -> None:
    registry = RegistryStatus(None, None, 0, 0, ())
    empty = report()
    fresh = replace(empty, emperor=replace(empty.emperor, registry=registry))
    assert any("emperorctl registry put" in line for line in _plain(fresh, 100))
    ghost = NotFollowed("ghost.example", "there is no user ghost here")
    behind = replace(registry, not_followed=1, examples=(ghost,))
    told = _plain(replace(empty, emperor=replace(empty.emperor, registry=behind)))
    assert told[-1] == "ghost.example: there is no user ghost here"
    assert not any("There is no vassal yet" in line for line in told)
