"""A pidfile is corrected only where it says just the pid of the process that has ended."""

import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.linux import pidfile
from emperor.linux.pidfile import PidChange, correct_pidfiles
from tests.threads import no_thread_left

CHANGE = PidChange(ended=12345, running=678, uid=os.geteuid(), gid=os.getegid())
OF_NOBODY = replace(CHANGE, uid=65534, gid=65534)


def plain(path: Path) -> None:
    path.write_text("12345\n")


def longer(path: Path) -> None:
    path.write_text("12345\n\n")


def cut_short(path: Path) -> None:
    path.write_text("")


def of_another(path: Path) -> None:
    plain(path)
    os.chown(path, 33, 33)


def linked(path: Path) -> None:
    plain(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


def linked_twice(path: Path) -> None:
    plain(path.with_name("other"))
    path.hardlink_to(path.with_name("other"))


def test_without_a_thread_a_file_stays_as_it_is(tmp_path: Path) -> None:
    plain(tmp_path / "pid")
    with no_thread_left():
        thread = correct_pidfiles([str(tmp_path / "pid")], CHANGE)
    assert not thread.is_alive()
    assert (tmp_path / "pid").read_text() == "12345\n"


@pytest.mark.parametrize(
    ("made", "expected"),
    [(plain, "678\n"), (cut_short, "678\n"), (longer, "12345\n\n")]
    + [(made, "12345\n") for made in (of_another, linked, linked_twice)],
)
def test_only_the_file_of_the_ended_process_changes(
    tmp_path: Path, made: Callable[[Path], None], expected: str
) -> None:
    made(tmp_path / "pid")
    os.mkfifo(tmp_path / "fifo")
    plain(tmp_path / "last")
    for name in ("pid", "fifo", "missing", "last"):
        correct_pidfiles([str(tmp_path / name)], CHANGE).join()
    assert (tmp_path / "last").read_text() == "678\n"
    assert (tmp_path / "pid").read_text() == expected


@pytest.mark.parametrize(("mode", "expected"), [(0o755, "678\n"), (0o700, "12345\n")])
def test_root_has_the_rights_of_the_user_at_a_pidfile(mode: int, expected: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pid"
        plain(path)
        os.chown(path, 65534, 65534)
        os.chmod(folder, mode)
        correct_pidfiles([str(path)], OF_NOBODY).join()
        assert path.read_text() == expected
        plain(Path(folder) / "own")
        correct_pidfiles([str(path.with_name("own"))], CHANGE).join()
        assert path.with_name("own").read_text() == "678\n", "another thread is root as before"


def test_file_systems_of_one_user_hold_up_no_pidfile_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct, goes_on = pidfile._correct, threading.Event()

    def wait(path: str, change: PidChange) -> None:
        if change == OF_NOBODY:
            goes_on.wait()
        correct(path, change)

    monkeypatch.setattr(pidfile, "_correct", wait)
    started = [correct_pidfiles([str(tmp_path / "hung")], OF_NOBODY) for _ in range(70)]
    try:
        assert sum(thread.is_alive() for thread in started) <= 16
        plain(tmp_path / "pid")
        correct_pidfiles([str(tmp_path / "pid")], CHANGE).join()
        assert (tmp_path / "pid").read_text() == "678\n"
    finally:
        goes_on.set()
        for thread in started:
            thread.join()
