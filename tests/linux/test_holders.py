"""Which process listens at an address."""

import os
import socket
from pathlib import Path

import pytest

from emperor.linux.holders import holder_of

NAME = Path("/proc/self/comm").read_text().strip()


@pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", ""),
        ("127.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "[::1]"),
        ("::", "127.0.0.1"),
    ],
)
def test_the_process_at_a_port_is_found(bound: str, asked: str) -> None:
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with socket.create_server((bound, 0), family=family) as server:
        found = holder_of(f"{asked}:{server.getsockname()[1]}")
    assert found is not None
    assert (found.pid, found.group, found.name) == (os.getpid(), os.getpgid(0), NAME)


def test_a_port_on_another_address_is_not_meant() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        assert holder_of(f"127.0.0.1:{server.getsockname()[1]}") is None


@pytest.mark.parametrize("name", ["{folder}/a.sock", "@emperord-test-{pid}"])
def test_the_process_at_a_unix_socket_is_found(tmp_path: Path, name: str) -> None:
    address = name.format(folder=tmp_path, pid=os.getpid())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address.replace("@", "\0"))
        server.listen()
        found = holder_of(address, [os.getpid()])
    assert found is not None
    assert found.pid == os.getpid()


def test_a_search_that_takes_too_long_tells_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emperor.linux.holders.LIMIT_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = holder_of(f"127.0.0.1:{server.getsockname()[1]}")
    assert found is not None
    assert (found.pid, found.user) == (None, "root")
