"""`emperorctl top` on a real terminal, in a pipe, and where it can do neither."""

import signal
import subprocess
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor, listening
from tests.cli.program import OnTerminal, finished, on_terminal
from tests.eventually import PATIENCE_SECONDS, eventually


@pytest.fixture(autouse=True)
def _memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def proportional(groups: Collection[int]) -> dict[int, int]:
        return dict.fromkeys(groups, 5 << 20)

    monkeypatch.setattr("emperor.web.activity.proportional", proportional)


def _shows(program: OnTerminal, text: str) -> None:
    eventually(lambda: text in "\n".join(program.shown()), what=f"{text!r} is shown")


def _is_restored(program: OnTerminal) -> None:
    """Keys are echoed, and neither the second screen nor a hidden cursor is left."""
    assert program.echoes
    screen = program.screen()
    assert "Traceback" not in screen
    assert screen.rindex("\x1b[?1049l") > screen.rindex("\x1b[?1049h")
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")


def test_it_is_watched_steered_and_left(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.example", "b.example", "shop.example")
    ctl("start", "a.example")
    ctl("start", "b.example")
    with on_terminal(emperor.run_dir, "top") as program:
        _shows(program, "2 running, 1 parked")
        _shows(program, "5.0M")
        assert len(program.shown()) == 24
        assert not program.echoes
        program.type("/SHOP\r")
        _shows(program, "shop.example parked")
        program.type("a")
        _shows(program, "start shop.example? (y/n)")
        program.type("y")
        _shows(program, "shop.example running")
        program.type("\x1b")
        _shows(program, "3 that do something")
        program.type("kr")
        _shows(program, "restart b.example? (y/n)")
        program.type("n")
        _shows(program, "nothing was done")
        program.type("zy")
        _shows(program, "2 running, 1 parked")
        program.resize(10, 40)
        program.process.send_signal(signal.SIGWINCH)
        program.type("t")
        _shows(program, "TENANT")
        assert len(program.shown()) == 10
        program.type("q")
        assert program.process.wait(PATIENCE_SECONDS) == 0
        _is_restored(program)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_terminal_as_it_was(
    emperor: FakeEmperor, number: signal.Signals
) -> None:
    emperor.serve("a.example")
    with on_terminal(emperor.run_dir, "top") as program:
        _shows(program, "1 parked")
        program.process.send_signal(number)
        assert program.process.wait(PATIENCE_SECONDS) == 130
        _is_restored(program)


def test_a_daemon_that_is_away_is_told_on_the_screen(tmp_path: Path) -> None:
    emperor = FakeEmperor(tmp_path)
    emperor.serve("a.example")
    with ExitStack() as stack:
        with listening(emperor):
            program = stack.enter_context(on_terminal(emperor.run_dir, "top"))
            _shows(program, "1 parked")
        _shows(program, "cannot reach emperord")
        _shows(program, "1 parked")
        program.type("q")
        assert program.process.wait(PATIENCE_SECONDS) == 0


# Its second sample is a fault.
_FAULTY = """
from emperor.cli import top

take = top._Meter.take

async def once(self, *arguments):
    top._Meter.take = faulty
    return await take(self, *arguments)

async def faulty(self, *arguments):
    raise ZeroDivisionError

top._Meter.take = once
"""


def test_a_fault_is_told_and_leaves_the_terminal_as_it_was(
    emperor: FakeEmperor, tmp_path: Path
) -> None:
    emperor.serve("a.example")
    (tmp_path / "sitecustomize.py").write_text(_FAULTY)
    with on_terminal(emperor.run_dir, "top", extra={"PYTHONPATH": str(tmp_path)}) as program:
        _shows(program, "1 parked")
        program.type("/a\r")
        assert program.process.wait(PATIENCE_SECONDS) == 1
        screen = program.screen()
        assert "ZeroDivisionError" in screen[screen.rindex("\x1b[?1049l") :]
        assert program.echoes


def test_a_pipe_gets_one_table(emperor: FakeEmperor, ctl: Ctl) -> None:
    emperor.serve("a.example", "b.example")
    ctl("start", "a.example")
    for arguments in (("top",), ("top", "--once")):
        result = finished(emperor.run_dir, *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        head, _, columns, row = result.stdout.splitlines()
        assert "1 running, 1 parked" in head
        assert columns.split()[0] == "NAME"
        assert row.split()[:7] == ["a.example", "running", "0s", "-", "0.0", "5.0M", "0"]
        assert "\x1b" not in result.stdout


@pytest.mark.parametrize("how", ["no keys", "dumb"])
def test_it_is_refused_where_it_cannot_be_drawn(emperor: FakeEmperor, how: str) -> None:
    if how == "dumb":
        with on_terminal(emperor.run_dir, "top", extra={"TERM": "dumb"}) as program:
            assert program.process.wait(PATIENCE_SECONDS) == 2
            assert "it needs a terminal, or --once" in program.screen()
        return
    with on_terminal(emperor.run_dir, "top", stdin=subprocess.DEVNULL) as program:
        assert program.process.wait(PATIENCE_SECONDS) == 2
        assert "it needs a terminal, or --once" in program.screen()
