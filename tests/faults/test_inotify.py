"""A kernel that refuses further watches."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backend import Daemon
from tests.eventually import eventually
from tests.traces import public_folder

# The limits that root has are this machine's. Those of a user namespace are its own, and root in it
# may set them; with every id mapped, the daemon may all that it may elsewhere.
_EVERYBODY = "0 0 4294967295"
_LIMITS = "/proc/sys/user"


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon that is not started yet."""
    with public_folder() as folder:
        yield Daemon(folder)


@contextmanager
def namespace(daemon: Daemon) -> Iterator[int]:
    """The daemon starts in a user namespace of its own, which the process of that pid holds."""
    holder = subprocess.Popen(["unshare", "--user", "cat"], stdin=subprocess.PIPE)
    try:
        path = Path(f"/proc/{holder.pid}/ns/user")
        eventually(lambda: os.readlink(path) != os.readlink("/proc/self/ns/user"))
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{holder.pid}/{name}").write_text(_EVERYBODY)
        daemon.under = ["nsenter", f"--target={holder.pid}", "--user"]
        yield holder.pid
    finally:
        holder.communicate()


def allow(pid: int, most: int, limit: str = "max_inotify_watches") -> None:
    """Set a limit of that user namespace."""
    script = f"echo {most} > {_LIMITS}/{limit}"
    command = ["nsenter", f"--target={pid}", "--user", "sh", "-c", script]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_a_daemon_that_cannot_watch_serves_and_names_the_limit(daemon: Daemon, limit: str) -> None:
    used_up = ".*is fs.inotify.max_user_.* used up.*"
    daemon.expect(f"cannot watch {daemon.vassals}: {used_up} once a minute")
    daemon.expect(f"cannot watch {daemon.logs}: {used_up} may grow until logrotate runs")
    daemon.drop("a.example", daemon.ini("a.example"))
    with namespace(daemon) as pid:
        allow(pid, 0, limit)
        with daemon:
            assert daemon.call("POST", "/v1/vassals/a.example/start")[0] == 200
            daemon.process.send_signal(signal.SIGHUP)
            eventually(lambda: len(daemon.lines(f"cannot watch {daemon.vassals}")) == 2)
            assert daemon.state("a.example") == "running"
            daemon.drop("b.example", daemon.ini("b.example"))
            daemon.call("POST", "/v1/rescan")
            daemon.until("b.example", "parked")


def test_without_a_watch_sites_go_on_and_a_rescan_finds_inis(daemon: Daemon) -> None:
    daemon.expect("cannot watch .*No space left|is gone: its vassals are served on")
    away = daemon.folder / "away"
    with namespace(daemon) as pid, daemon:
        daemon.add("a.example")
        daemon.vassals.rename(away)
        eventually(lambda: daemon.lines("is gone"))
        allow(pid, 0)
        away.rename(daemon.vassals)
        eventually(lambda: daemon.lines("cannot watch"))
        daemon.drop("b.example", daemon.ini("b.example"))
        daemon.call("POST", "/v1/rescan")
        daemon.until("b.example", "parked")
        assert daemon.call("POST", "/v1/vassals/a.example/start")[0] == 200
