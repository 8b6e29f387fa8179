"""`emperorctl logs`: what a vassal printed, and what it prints while we look."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.program import ENVIRONMENT, command, on_terminal
from tests.cli.records import GOAT
from tests.eventually import PATIENCE_SECONDS, eventually


@pytest.fixture
def log(emperor: FakeEmperor, tmp_path: Path) -> Path:
    """Where the vassal's log will be; its folder is there, it is not."""
    folder = tmp_path / "logs"
    folder.mkdir()
    emperor.serve(GOAT)
    return folder / f"{GOAT}.log"


class Following:
    """`emperorctl logs -f` with a pipe for its output."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        self.process = process
        self._fd = process.stdout.fileno()
        self._seen = b""
        os.set_blocking(self._fd, False)

    def until(self, content: bytes) -> None:
        """Wait until exactly this was printed, from the start."""

        def is_there() -> bool:
            with suppress(BlockingIOError):
                self._seen += os.read(self._fd, 65536)
            assert self._seen == content
            return True

        eventually(is_there, [self.process])


@contextmanager
def following(run_dir: Path, *options: str) -> Iterator[Following]:
    """Follow the log of the vassal until the block is left."""
    with subprocess.Popen(
        command(run_dir, "logs", "-f", *options, GOAT), env=ENVIRONMENT, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Following(process)
        finally:
            process.kill()


def _watches(pid: int) -> bool:
    with suppress(FileNotFoundError):
        fds = Path(f"/proc/{pid}/fd").iterdir()
        return any(os.readlink(fd) == "anon_inode:inotify" for fd in fds)
    return False


def _append(path: Path, content: str) -> None:
    with path.open("a") as file:
        file.write(content)


def test_the_last_lines_are_printed(log: Path, ctl: Ctl) -> None:
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert ctl("logs", "-n", "2", GOAT).out == "line 98\nline 99\n"
    assert ctl("logs", GOAT).out.splitlines()[0] == "line 80"


def test_what_is_appended_follows(emperor: FakeEmperor, log: Path) -> None:
    log.write_text("one\ntwo\n")
    with following(emperor.run_dir, "-n", "1") as program:
        program.until(b"two\n")
        _append(log, "three\n")
        program.until(b"two\nthree\n")
        _append(log, "without a newline")
        program.until(b"two\nthree\nwithout a newline")


def test_a_log_that_is_rotated_is_followed_in_both_files(emperor: FakeEmperor, log: Path) -> None:
    log.write_text("one\n")
    with following(emperor.run_dir) as program:
        program.until(b"one\n")
        rotated = log.rename(log.with_suffix(".log.1"))
        _append(rotated, "two, by a writer that has not noticed\n")
        program.until(b"one\ntwo, by a writer that has not noticed\n")
        log.write_text("three\n")
        program.until(b"one\ntwo, by a writer that has not noticed\nthree\n")
        _append(log, "four\n")
        program.until(b"one\ntwo, by a writer that has not noticed\nthree\nfour\n")


def test_a_log_that_is_removed_and_made_again_is_followed(emperor: FakeEmperor, log: Path) -> None:
    log.write_text("one\n")
    with following(emperor.run_dir) as program:
        program.until(b"one\n")
        for number in range(3):
            log.unlink()
            log.write_text(f"{number}\n")
            program.until(b"one\n" + b"".join(b"%d\n" % n for n in range(number + 1)))


def test_a_log_that_is_truncated_is_read_from_its_start(emperor: FakeEmperor, log: Path) -> None:
    log.write_text("a long line\n")
    with following(emperor.run_dir) as program:
        program.until(b"a long line\n")
        log.write_text("")
        _append(log, "new\n")
        program.until(b"a long line\nnew\n")


def test_a_log_that_is_not_there_yet_is_waited_for(emperor: FakeEmperor, log: Path) -> None:
    # It may begin to watch and then find the file, which it reads from its last line on.
    with following(emperor.run_dir, "-n", "1") as program:
        eventually(lambda: _watches(program.process.pid), [program.process])
        log.write_text("first\n")
        program.until(b"first\n")


def test_a_vassal_that_has_never_printed_has_no_log(log: Path, ctl: Ctl) -> None:
    result = ctl("logs", GOAT)
    assert result.status == 1
    assert result.err == f"emperorctl: cannot read {log}: no such file (was {GOAT} ever started?)\n"


def test_without_a_daemon_the_settings_say_where_the_log_is(ctl: Ctl, tmp_path: Path) -> None:
    config = tmp_path / "emperord.ini"
    config.write_text(f"[emperord]\nlog-dir = {tmp_path}\n")
    (tmp_path / f"{GOAT}.log").write_text("its last words\n")
    result = ctl("logs", "--config", str(config), GOAT)
    assert (result.status, result.out) == (0, "its last words\n")
    assert result.err.startswith("emperorctl: cannot reach emperord at ")
    assert result.err.endswith(f"; reading {tmp_path}/{GOAT}.log\n")
    for name in ("nobody.example", f"../{tmp_path.name}/{GOAT}"):
        assert ctl("logs", "--config", str(config), name).status == 4


def test_a_missing_folder_is_an_error_even_when_following(log: Path, ctl: Ctl) -> None:
    log.parent.rmdir()
    assert ctl("logs", "-f", GOAT).status == 1


def test_a_log_that_is_a_folder_is_an_error(log: Path, ctl: Ctl) -> None:
    log.mkdir()
    result = ctl("logs", GOAT)
    assert (result.status, result.err) == (1, f"emperorctl: cannot read {log}: Is a directory\n")


def test_a_pipe_gets_every_byte_as_it_is(emperor: FakeEmperor, log: Path) -> None:
    log.write_bytes(b"\x1b[31m\xff\xfe\r\n")
    with following(emperor.run_dir) as program:
        program.until(b"\x1b[31m\xff\xfe\r\n")


def test_a_terminal_gets_no_control_character_of_the_apps(emperor: FakeEmperor, log: Path) -> None:
    log.write_bytes("\x1b]0;owned\x07\x9b2J \ttab, münchen\n".encode() + b"\xff\n")
    with on_terminal(emperor.run_dir, "logs", GOAT) as program:
        assert program.process.wait(PATIENCE_SECONDS) == 0
        shown = program.screen()
    assert shown.split("\r\n")[:2] == ["\\x1b]0;owned\\x07\\x9b2J \ttab, münchen", "\\xff"]


def test_ctrl_c_ends_following_without_a_traceback(emperor: FakeEmperor, log: Path) -> None:
    log.write_text("one\n")
    with on_terminal(emperor.run_dir, "logs", "-f", GOAT) as program:
        eventually(lambda: "one" in program.screen(), [program.process])
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(PATIENCE_SECONDS) == 130
        assert "Traceback" not in program.screen()
