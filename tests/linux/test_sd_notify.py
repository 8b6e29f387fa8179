"""What systemd hears."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emperor.linux.sd_notify import Notifier


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize("abstract", [False, True])
def test_each_state_is_one_datagram(tmp_path: Path, abstract: bool) -> None:
    path = str(tmp_path / "notify")
    bound, named = ("\0" + path, "@" + path) if abstract else (path, path)
    with manager(bound) as systemd, Notifier.from_environment({"NOTIFY_SOCKET": named}) as notifier:
        notifier.ready()
        notifier.status("3 running")
        notifier.alive()
        notifier.stopping()
        notifier.extend_timeout(1.5)
        assert [systemd.recv(100) for _ in range(5)] == [
            b"READY=1",
            b"STATUS=3 running",
            b"WATCHDOG=1",
            b"STOPPING=1",
            b"EXTEND_TIMEOUT_USEC=1500000",
        ]


def test_a_descriptor_can_be_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    read_end, write_end = os.pipe()
    with manager(path) as systemd, Notifier(path) as notifier:
        notifier.store("bag.reader", write_end)
        message, [kept], _, _ = socket.recv_fds(systemd, 100, 2)
    assert message == b"FDSTORE=1\nFDNAME=bag.reader\nFDPOLL=0"
    assert os.path.samestat(os.fstat(kept), os.fstat(write_end))
    for fd in (kept, write_end, read_end):
        os.close(fd)


def test_a_status_cannot_smuggle_an_order_in(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with manager(path) as systemd, Notifier(path) as notifier:
        notifier.status("one\nMAINPID=1\r\n")
        assert systemd.recv(100) == b"STATUS=one MAINPID=1"


def test_without_systemd_nothing_happens() -> None:
    with Notifier.from_environment({}) as notifier:
        notifier.ready()


def test_an_absent_or_busy_manager_does_not_stop_the_daemon(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with Notifier(path) as notifier:
        notifier.ready()
        with manager(path) as systemd:
            for _ in range(int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 5):
                notifier.alive()
            assert systemd.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watchdog_is_fed_if_it_is_ours(environment: dict[str, str], seconds: float) -> None:
    with Notifier.from_environment(environment) as notifier:
        assert notifier.watchdog_seconds == seconds
