"""Whose output a log is, and who may read it."""

import os
from pathlib import Path

import pytest

from emperor.linux.log_owner import MOST_READ, open_log_of, read_log

ALICE, MALLORY = 1001, 1002


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log that an app of alice's has written."""
    path = tmp_path / "a.example.log"
    _write(path, ALICE, b"one\ntwo\nthree\n")
    return path


def _write(path: Path, owner: int | None, text: bytes) -> None:
    fd = open_log_of(str(path), owner)
    os.write(fd, text)
    os.close(fd)


def test_a_tenant_reads_what_its_own_app_has_written(log: Path) -> None:
    assert read_log(str(log), 2, ALICE) == b"two\nthree\n"
    assert read_log(str(log), 9, MALLORY) is None
    assert read_log(str(log), 1, None) == b"three\n"
    assert read_log(f"{log}.none", 1, None) is None


def test_a_log_is_set_aside_for_the_next_tenant(log: Path) -> None:
    _write(log, MALLORY, b"new\n")
    assert read_log(str(log), 9, MALLORY) == b"new\n"
    assert log.with_name(f"{log.name}.of-uid-{ALICE}").read_bytes() == b"one\ntwo\nthree\n"
    _write(log, None, b"root\n")
    assert read_log(str(log), 9, MALLORY) is None
    assert read_log(str(log), 9, None) == b"new\nroot\n", "an administrator reads all"
    _write(log, ALICE, b"again\n")
    assert read_log(str(log), 9, ALICE) == b"again\n"


def test_of_a_log_of_terabytes_the_end_is_read(log: Path) -> None:
    os.truncate(log, 1 << 40)
    _write(log, ALICE, b"\nlast\n")
    assert read_log(str(log), 1, ALICE) == b"last\n"
    assert len(read_log(str(log), 9, ALICE) or b"") == MOST_READ


def test_a_link_in_place_of_a_log_is_not_followed(log: Path) -> None:
    link = log.with_name("b.example.log")
    link.symlink_to(log)
    assert read_log(str(link), 9, None) is None
