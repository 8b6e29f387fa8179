"""emperorctl as a whole: help, exit statuses, and what it says when the daemon is not there."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from emperor import __version__
from emperor.cli.main import COMMANDS, emperorctl, run
from tests.cli.conftest import Ctl
from tests.cli.fake_emperor import FakeEmperor
from tests.cli.program import ENVIRONMENT, command, finished
from tests.cli.records import GOAT

NOBODY = 65534
TALKS = (
    ("status",),
    ("why", GOAT),
    ("logs", GOAT),
    ("events",),
    ("start", GOAT),
    ("sleep", GOAT),
    ("restart", GOAT),
    ("reload", GOAT),
    ("drain",),
    ("undrain",),
)


@contextmanager
def without_the_rights_of_root() -> Iterator[None]:
    """Within the block, this process is nobody, if it was root."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_version_is_that_of_the_package(ctl: Ctl) -> None:
    assert ctl("--version").out == f"emperorctl {__version__}\n"


def test_help_names_every_command_and_the_exit_statuses(ctl: Ctl) -> None:
    result = ctl("--help")
    assert result.status == 0
    assert all(re.search(rf"^  {name} ", result.out, re.MULTILINE) for name in COMMANDS)
    assert "3 no such vassal" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_that_fits_eighty_columns(ctl: Ctl, name: str) -> None:
    result = ctl(name, "--help")
    assert result.status == 0
    assert result.out.startswith(f"Usage: emperorctl {name} ")
    assert max(map(len, result.out.splitlines())) <= 80


def test_help_and_version_import_neither_http_nor_tables(tmp_path: Path) -> None:
    script = (
        "import sys; from emperor.cli.main import run; run(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('aiohttp', 'asyncio', 'rich')))"
    )
    assert subprocess.run(
        [os.fspath(Path(command(tmp_path)[0])), "-c", script],
        env=ENVIRONMENT, capture_output=True, check=False,
    ).returncode == 0  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [(), ("nope",), ("why",), ("status", "--nope"), ("logs", "-n", "x", GOAT)]
)
def test_wrong_usage_exits_2(ctl: Ctl, arguments: tuple[str, ...]) -> None:
    assert ctl(*arguments).status == 2


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("statuss", "did you mean status?"),
        ("log", "did you mean logs?"),
        ("list", "did you mean status?"),
        ("wake", "did you mean start?"),
        ("xyzzy", "emperorctl --help lists them all"),
    ],
)
def test_an_unknown_command_is_told_with_the_likely_one(ctl: Ctl, name: str, cure: str) -> None:
    result = ctl(name, GOAT)
    assert result.status == 2
    assert result.err.endswith(f"there is no command '{name}'; {cure}\n")


@pytest.mark.parametrize("arguments", TALKS)
def test_every_command_that_talks_exits_4_when_nobody_is_there(
    ctl: Ctl, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    result = ctl(*arguments)
    assert (result.status, result.out) == (4, "")
    assert result.err == (
        f"emperorctl: cannot reach emperord at {tmp_path}/control.sock: "
        "no such file (is it running? systemctl status emperord)\n"
    )


def test_a_socket_that_a_dead_daemon_left_behind_is_told_apart(ctl: Ctl, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    result = ctl("status")
    assert result.status == 4
    assert "nobody listens there (is it running?" in result.err


def test_a_daemon_that_does_not_answer_is_told_with_the_time(
    ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.cli.client.ANSWER_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "control.sock"))
        silent.listen()
        result = ctl("status")
    assert result.status == 4
    assert "no answer within 0.2 s (is it running?" in result.err


def test_the_run_dir_may_come_from_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPERORD_RUN_DIR", str(tmp_path / "other"))
    assert run(["status"]) == 4
    assert f"cannot reach emperord at {tmp_path}/other/control.sock" in capsys.readouterr().err


def test_many_orders_without_a_daemon_complain_once(ctl: Ctl) -> None:
    result = ctl("start", "a.example", "b.example")
    assert result.status == 4
    assert len(result.err.splitlines()) == 1


def test_who_may_not_connect_is_told_what_the_mode_should_be(
    emperor: FakeEmperor, ctl: Ctl
) -> None:
    assert ctl("status").status == 0
    (emperor.run_dir / "control.sock").chmod(0)
    with without_the_rights_of_root():
        result = ctl("status")
    assert result.status == 4
    assert "permission denied (its mode should be 0666, and that of its folder 0755)" in result.err


def test_a_socket_path_that_is_too_long_is_no_traceback(ctl: Ctl, tmp_path: Path) -> None:
    result = finished(tmp_path / ("x" * 200), "status")
    assert result.returncode == 4
    assert "AF_UNIX path too long" in result.stderr


@pytest.mark.parametrize(
    ("answer", "result", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "it closed the connection before", 4),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "cannot understand emperord's", 1),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n[]", "HTTP 500 without a reason", 1),
        (b"HTTP/1.1 502 No\r\nContent-Length: 4\r\n\r\nboom", "HTTP 502 without a reason", 1),
        (b'HTTP/1.1 500 No\r\nContent-Length: 11\r\n\r\n{"code": 1}', "HTTP 500 without a", 1),
        (b"220 smtp.example ESMTP\r\n\r\n", "it closed the connection before", 4),
    ],
)
def test_half_an_answer_or_a_strange_one_is_no_traceback(
    tmp_path: Path, answer: bytes, result: str, status: int
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen()
        with subprocess.Popen(
            command(tmp_path, "status"), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
            error = process.stderr.read()
    assert result in error
    assert len(error.splitlines()) == 1
    assert process.returncode == status


def test_a_full_disk_is_told(emperor: FakeEmperor) -> None:
    emperor.serve(GOAT)
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command(emperor.run_dir, "status"),
            env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr == "emperorctl: cannot write: [Errno 28] No space left on device\n"


def test_the_program_exits_with_the_status_of_its_command(emperor: FakeEmperor) -> None:
    emperor.serve(GOAT)
    assert finished(emperor.run_dir, "why", GOAT).returncode == 0
    assert finished(emperor.run_dir, "why", "nobody.example").returncode == 3
    assert finished(emperor.run_dir, "nope").returncode == 2


def test_every_command_stands_under_its_own_name() -> None:
    for name in COMMANDS:
        found = emperorctl.get_command(click.Context(emperorctl), name)
        assert found is not None
        assert found.name == name
