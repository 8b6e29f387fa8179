"""`emperorctl start`, `sleep`, `stop`, `restart`, `reload`."""

from dataclasses import replace

import pytest

from emperor.cli.act import STOP_IS_SLEEP, outcome
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
    assert _causes(emperor) == list(dict.fromkeys(["emperorctl start", f"emperorctl {action}"]))


def test_stop_is_sleep_and_says_so(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve(GOAT)
    ctl("start", GOAT)
    result = ctl("stop", GOAT)
    assert (result.status, result.out, result.err) == (0, f"{GOAT}: parked\n", f"{STOP_IS_SLEEP}\n")
    assert _causes(emperor) == ["emperorctl start", "emperorctl sleep"]
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


def test_at_least_one_domain_is_needed(ctl: Ctl) -> None:
    assert ctl("sleep").status == 2


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
