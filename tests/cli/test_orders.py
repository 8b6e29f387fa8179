"""`emperorctl start`, `sleep`, `stop`, `restart`, `reload`."""

from dataclasses import replace

import pytest

from emperor.cli.orders import STOP_IS_SLEEP, outcome
from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.program import on_terminal
from tests.cli.records import GOAT, detail, parked, running
from tests.eventually import PATIENCE_SECONDS, eventually


def _causes(emperor: FakeEmperor) -> list[str]:
    """Why each order was carried out, as the log has it."""
    causes = (e.detail for e in emperor.events.recent())
    return list(dict.fromkeys(cause for cause in causes if cause.startswith("emperorctl ")))


@pytest.mark.parametrize("action", ["start", "sleep", "restart", "reload"])
def test_each_command_gives_its_own_order(emperor: FakeEmperor, ctl: Ctl, action: str) -> None:
    emperor.serve(GOAT)
    assert ctl("start", GOAT).status == 0
    result = ctl(action, GOAT)
    assert (result.status, result.err) == (0, "")
    assert _causes(emperor) == list(
        dict.fromkeys(["emperorctl start by uid 0", f"emperorctl {action} by uid 0"])
    )


def test_stop_is_sleep_and_says_so(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(GOAT)
    ctl("start", GOAT)
    result = ctl("stop", GOAT)
    assert (result.status, result.out, result.err) == (0, f"{GOAT}: parked\n", f"{STOP_IS_SLEEP}\n")
    assert _causes(emperor) == ["emperorctl start by uid 0", "emperorctl sleep by uid 0"]
    assert "the next hit wakes" in ctl("stop", "--help").out


def test_the_result_has_the_state_the_pid_and_the_time() -> None:
    assert outcome(detail(running(GOAT))) == f"{GOAT}: running (pid 4711, accepted after 0.16 s)"
    assert outcome(replace(detail(running(GOAT)), wake=None)) == f"{GOAT}: running (pid 4711)"
    assert outcome(detail(parked(GOAT))) == f"{GOAT}: parked"


def test_each_is_acted_on_once_and_a_failure_is_its_own(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.example", "b.example", "c.example")
    emperor.failing["b.example"] = "exit status 22"
    result = ctl("start", "a.example", "b.example", "c.example", "a.example")
    assert result.status == 1
    assert [vassal.starts for vassal in emperor.governor.vassals] == [1, 1, 1]
    assert sorted(line.split()[0] for line in result.out.splitlines()) == [
        "a.example:",
        "c.example:",
    ]
    assert result.err == "emperorctl: cannot start b.example: exit status 22\n"


@pytest.mark.parametrize(
    ("domains", "status"),
    [
        (["failing.example"], 1),
        (["refused.example"], 1),
        (["nobody.example"], 3),
        (["nobody.example", "failing.example"], 3),
    ],
)
def test_the_exit_status_is_that_of_the_worst(
    emperor: FakeEmperor, ctl: Ctl, domains: list[str], status: int
) -> None:
    emperor.serve("good.example", "failing.example")
    emperor.failing["failing.example"] = "exit status 22"
    emperor.refuse("refused.example", "cannot read refused.example.ini: binary")
    assert ctl("start", "good.example", *domains).status == status


def test_a_message_cannot_steer_the_terminal(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.example")
    emperor.failing["a.example"] = "\n\x1b[2J[red]"
    result = ctl("start", "a.example")
    assert result.err == "emperorctl: cannot start a.example: \\x1b[2J[red]\n"


@pytest.mark.parametrize("arguments", [(), ("--all", "a.example"), ("--all", "*")])
def test_domains_or_all_are_needed_and_not_both(ctl: Ctl, arguments: tuple[str, ...]) -> None:
    assert ctl("sleep", *arguments).status == 2


def test_a_pattern_acts_on_all_that_match_and_counts(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.example", "b.example", "c.other")
    emperor.failing["b.example"] = "exit status 22"
    result = ctl("start", "*.example")
    assert result.status == 1
    assert [vassal.starts for vassal in emperor.governor.vassals] == [1, 1, 0]
    first, last = result.out.splitlines()
    assert first.startswith("a.example: running")
    assert last == "1 done, 1 failed"
    assert result.err == "emperorctl: cannot start b.example: exit status 22\n"


def test_all_acts_on_all_and_a_restart_leaves_sleepers_alone(
    emperor: FakeEmperor, ctl: Ctl
) -> None:
    emperor.serve("a.example", "b.example", "c.example")
    assert ctl("maintenance", "c.example", "on").out == "c.example: parked, in maintenance\n"
    assert ctl("start", "a.example").status == 0
    result = ctl("restart", "--all")
    assert result.status == 0
    asleep, closed, started, last = result.out.splitlines()
    assert asleep == "b.example: parked, left alone"
    assert closed == "c.example: parked, in maintenance, left alone"
    assert started.startswith("a.example: running")
    assert last == "1 done, 2 left alone"
    assert ctl("maintenance", "--all", "off").out.splitlines()[-1] == "3 done"
    assert ctl("stop", "*").out.splitlines()[-1] == "3 done"


def test_a_pattern_that_matches_nothing_is_an_error(emperor: FakeEmperor, ctl: Ctl) -> None:
    assert ctl("start", "--all").status == 3
    emperor.serve("a.example")
    result = ctl("sleep", "*.other", "a.example")
    assert (result.status, result.out) == (3, "a.example: parked\n1 done\n")
    assert result.err == "emperorctl: no vassal matches '*.other'\n"


def test_maintenance_tells_when_a_start_is_refused(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.example")
    ctl("maintenance", "a.example", "on")
    result = ctl("start", "a.example")
    assert result.status == 1
    assert "`emperorctl maintenance a.example off` ends" in result.err
    assert ctl("maintenance", "a.example", "off").out == "a.example: parked\n"
    assert ctl("maintenance", "nobody.example", "on").status == 3
    assert ctl("maintenance", "a.example", "perhaps").status == 2


def test_a_terminal_shows_what_is_waited_for(
    emperor: FakeEmperor,
) -> None:
    emperor.serve(GOAT)
    with on_terminal(emperor.run_dir, "start", GOAT) as program:
        assert program.process.wait(PATIENCE_SECONDS) == 0
        screen = program.screen()
    assert screen.startswith(f"starting {GOAT} …\r\x1b[K{GOAT}: running")


def test_ctrl_c_while_it_waits_ends_it_without_a_traceback(emperor: FakeEmperor) -> None:
    vassal = emperor.serve(GOAT)
    emperor.hanging.add(GOAT)
    with on_terminal(emperor.run_dir, "start", GOAT) as program:
        eventually(lambda: vassal.starts, [program.process])
        program.process.send_signal(2)
        assert program.process.wait(PATIENCE_SECONDS) == 130
        assert "Traceback" not in program.screen()


def test_a_fresh_restart_is_an_order_of_its_own(emperor: FakeEmperor, ctl: Ctl) -> None:
    vassal = emperor.serve("a.example")
    ctl("start", "a.example")
    old = vassal.listener
    result = ctl("restart", "--fresh", "a.example")
    assert (result.status, result.err) == (0, "")
    assert _causes(emperor) == [
        f"emperorctl {order} by uid 0" for order in ("start", "restart --fresh")
    ]
    assert vassal.listener is not old
