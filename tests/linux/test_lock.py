"""Two daemons, one run-dir."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from emperor.linux.lock import AlreadyRunning, RunLock
from tests.eventually import eventually

HOLDER = """
import os, sys, pathlib
from emperor.linux.lock import RunLock
with RunLock(pathlib.Path(sys.argv[1])) as lock:
    exec(sys.argv[2])
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(run_dir: Path, code: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that holds the lock until its stdin ends, and runs that code then."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, run_dir, code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def leave_lock_to(*seconds: str) -> str:
    """The code by which a holder has others hold its lock, too, that sleep so long."""
    started = [f"subprocess.Popen(['sleep', {each!r}], close_fds=False)\n" for each in seconds]
    return "".join(["import subprocess\nos.set_inheritable(lock.fd, True)\n", *started])


def test_the_second_daemon_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        before = os.listdir("/proc/self/fd")
        message = f"cannot start: emperord with pid {first.pid} already serves {tmp_path}"
        with pytest.raises(AlreadyRunning, match=message), RunLock(tmp_path):
            pass
        assert os.listdir("/proc/self/fd") == before


def test_a_daemon_that_was_killed_leaves_no_lock_behind(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        first.kill()
    with RunLock(tmp_path):
        assert (tmp_path / "emperord.lock").read_text() == f"{os.getpid()}\n"


def test_who_has_the_lock_of_a_dead_daemon_is_named(tmp_path: Path) -> None:
    with holder(tmp_path, leave_lock_to("1000")) as first:
        first.kill()
        first.wait()
        held = rf"pid (\d+) \(sleep\) holds {tmp_path}/emperord.lock, "
        message = f"{held}.* pid {first.pid}, which is gone"
        with pytest.raises(AlreadyRunning, match=message) as error, RunLock(tmp_path):
            pass
        [pid] = re.findall(r"kill -9 (\d+)", str(error.value))
        assert Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
        os.kill(int(pid), signal.SIGKILL)
    eventually(lambda: is_free(tmp_path), what="the lock is free")


def test_all_who_have_the_lock_of_a_dead_daemon_are_named(tmp_path: Path) -> None:
    with holder(tmp_path, leave_lock_to("1000", "1001")) as first:
        first.kill()
        first.wait()
        with pytest.raises(AlreadyRunning) as error, RunLock(tmp_path):
            pass
        [listed] = re.findall(r"end them by `kill -9 ([\d ]+)`", str(error.value))
        pids = [*map(int, listed.split())]
        commands = [psutil.Process(pid).cmdline() for pid in pids]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    named = ", ".join(f"pid {pid} (sleep)" for pid in pids)
    assert f"cannot start: {named} hold {tmp_path}/emperord.lock, " in str(error.value)
    assert sorted(commands) == [["sleep", "1000"], ["sleep", "1001"]]
    eventually(lambda: is_free(tmp_path), what="the lock is free")


def test_a_daemon_whose_child_alone_has_the_lock_is_named(tmp_path: Path) -> None:
    """As in an upgrade, while the daemon's descriptor is on its way to the next version."""
    with holder(tmp_path, f"{leave_lock_to('1000')}os.close(lock.fd)\n") as first:
        [child] = psutil.Process(first.pid).children()
        message = f"emperord with pid {first.pid} already serves"
        try:
            with pytest.raises(AlreadyRunning, match=message), RunLock(tmp_path):
                pass
        finally:
            child.kill()
            first.kill()


def is_free(run_dir: Path) -> bool:
    """Whether a daemon can take the lock."""
    try:
        with RunLock(run_dir):
            return True
    except AlreadyRunning:
        return False


def test_nobody_else_may_lock_the_file(tmp_path: Path) -> None:
    path = tmp_path / "emperord.lock"
    path.touch(0o644)
    with RunLock(tmp_path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_lock_is_free_after_the_block(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with RunLock(tmp_path), RunLock(tmp_path / "other"):
        pass
    with RunLock(tmp_path):
        pass


def test_a_child_does_not_keep_a_dead_daemons_lock(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        child = subprocess.Popen(
            ["/bin/sh", "-c", "echo up; exec sleep 1000"], stdout=subprocess.PIPE, close_fds=False
        )
    with child:
        assert child.stdout is not None
        # exec(2) closes a moment after the parent goes on.
        assert child.stdout.readline() == b"up\n"
        try:
            with RunLock(tmp_path):
                pass
        finally:
            child.kill()


def test_an_inherited_descriptor_keeps_the_lock_without_a_gap(tmp_path: Path) -> None:
    first = RunLock(tmp_path)
    first.__enter__()
    kept = os.dup(first.fd)
    os.close(first.fd)  # as its process would
    with pytest.raises(AlreadyRunning), RunLock(tmp_path):
        pass
    with RunLock(tmp_path, kept) as second:
        assert second.fd == kept
    with RunLock(tmp_path):
        pass


def test_a_lock_on_a_file_that_is_gone_is_taken_anew(tmp_path: Path) -> None:
    first = RunLock(tmp_path)
    first.__enter__()
    (tmp_path / "emperord.lock").unlink()
    with RunLock(tmp_path, first.fd):
        command = [sys.executable, "-c", HOLDER, str(tmp_path), ""]
        output = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False).stderr
        assert "already serves" in output
