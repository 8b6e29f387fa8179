"""`emperorctl start`, `stop`, `restart`, `reload`."""

from dataclasses import replace

import pytest

from emperor.cli.act import outcome
from tests.cli.canned_emperor import (
    GOAT,
    Answer,
    CannedEmperor,
    detail,
    failure,
    parked,
    running,
)
from tests.cli.conftest import Ctl
from tests.cli.program import on_terminal
from tests.eventually import eventually


@pytest.mark.parametrize("action", ["start", "stop", "restart", "reload"])
def test_each_command_gives_its_own_order(emperor: CannedEmperor, ctl: Ctl, action: str) -> None:
    emperor.details[GOAT] = detail(running(GOAT))
    assert ctl(action, GOAT).status == 0
    assert emperor.orders == [f"{action} {GOAT}"]


def test_the_result_tells_the_state_the_process_and_how_long_it_took() -> None:
    assert outcome(detail(running(GOAT))) == f"{GOAT}: running (pid 4711, accepted after 0.16 s)"
    assert outcome(replace(detail(running(GOAT)), wake=None)) == f"{GOAT}: running (pid 4711)"
    assert outcome(detail(parked(GOAT))) == f"{GOAT}: parked"


def test_several_are_acted_on_each_once_and_the_failure_of_one_leaves_the_others_alone(
    emperor: CannedEmperor, ctl: Ctl
) -> None:
    emperor.details = {name: detail(running(name)) for name in ("a.example", "c.example")}
    emperor.answers["b.example"] = failure(502, "failed", "exit status 22")
    told = ctl("start", "a.example", "b.example", "c.example", "a.example")
    assert told.status == 1
    assert sorted(emperor.orders) == ["start a.example", "start b.example", "start c.example"]
    assert sorted(line.split()[0] for line in told.out.splitlines()) == ["a.example:", "c.example:"]
    assert told.err == "emperorctl: b.example: exit status 22\n"


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ({"a.example": failure(502, "failed", "exit status 22")}, 1),
        ({"a.example": failure(409, "refused", "binary")}, 1),
        ({"a.example": failure(503, "stopping", "emperord is stopping")}, 1),
        ({"a.example": failure(404, "no-such-vassal", "no")}, 3),
        (
            {
                "a.example": failure(404, "no-such-vassal", "no"),
                "b.example": failure(502, "failed", "exit status 22"),
            },
            3,
        ),
    ],
)
def test_the_exit_status_is_that_of_the_worst(
    emperor: CannedEmperor, ctl: Ctl, answers: dict[str, Answer], status: int
) -> None:
    emperor.details["c.example"] = detail(running("c.example"))
    emperor.answers = answers
    assert ctl("start", "c.example", *answers).status == status


@pytest.mark.parametrize("body", ["boom", [], {"error": "boom"}, {"error": {"code": 1}}])
def test_an_error_without_a_reason_is_still_an_error(
    emperor: CannedEmperor, ctl: Ctl, body: object
) -> None:
    emperor.answers["a.example"] = Answer(500, body)
    told = ctl("start", "a.example")
    assert (told.status, told.err) == (1, "emperorctl: a.example: HTTP 500 without a reason\n")


def test_a_message_cannot_steer_the_terminal(emperor: CannedEmperor, ctl: Ctl) -> None:
    emperor.answers["a.example"] = failure(502, "failed", "a.example:\n\x1b[2J[red]")
    assert ctl("start", "a.example").err == "emperorctl: a.example: \\x1b[2J[red]\n"


def test_at_least_one_domain_is_needed(ctl: Ctl) -> None:
    assert ctl("stop").status == 2


def test_on_a_terminal_a_line_tells_what_is_waited_for_and_then_makes_room(
    emperor: CannedEmperor,
) -> None:
    emperor.details[GOAT] = detail(running(GOAT))
    with on_terminal(emperor.run_dir, "start", GOAT) as program:
        assert program.process.wait(30) == 0
        screen = program.screen()
    assert screen.startswith(f"starting {GOAT} …\r\x1b[K{GOAT}: running")


def test_ctrl_c_while_it_waits_ends_it_without_a_traceback(emperor: CannedEmperor) -> None:
    emperor.held.add(GOAT)
    with on_terminal(emperor.run_dir, "start", GOAT) as program:
        eventually(lambda: emperor.orders, [program.process])
        program.process.send_signal(2)
        assert program.process.wait(30) == 130
        assert "Traceback" not in program.screen()
