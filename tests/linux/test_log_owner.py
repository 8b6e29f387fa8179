"""Whose output a log is, and who may read it."""

import os
from pathlib import Path

import pytest

from emperor.linux.log_owner import (
    MOST_AT_ONCE,
    MOST_READ,
    LogPosition,
    close_to_its_app,
    find_end,
    open_log_of,
    read_end,
    read_on,
    read_piece,
)

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


def _last(path: str, lines: int, reader: int | None) -> bytes | None:
    part = read_end(path, lines, reader)
    return part.text if part else None


def _place(log: Path) -> LogPosition:
    """The end of the log as it is."""
    part = read_end(str(log), 0, None)
    assert part
    return part.end


def test_a_tenant_reads_what_its_own_app_has_written(log: Path) -> None:
    assert _last(str(log), 2, ALICE) == b"two\nthree\n"
    assert _last(str(log), 9, MALLORY) is None
    assert _last(str(log), 1, None) == b"three\n"
    assert _last(f"{log}.none", 1, None) is None


def test_a_log_is_set_aside_for_the_next_tenant(log: Path) -> None:
    _write(log, MALLORY, b"new\n")
    assert _last(str(log), 9, MALLORY) == b"new\n"
    assert log.with_name(f"{log.name}.of-uid-{ALICE}").read_bytes() == b"one\ntwo\nthree\n"
    _write(log, None, b"root\n")
    assert _last(str(log), 9, MALLORY) is None
    assert _last(str(log), 9, None) == b"root\n"
    aside = log.with_name(f"{log.name}.of-uid-{MALLORY}")
    assert _last(str(aside), 9, None) == b"new\n", "an administrator reads all"
    _write(log, ALICE, b"again\n")
    assert _last(str(log), 9, ALICE) == b"again\n"


@pytest.mark.parametrize("owner", [None, MALLORY], ids=["root", "a tenant"])
@pytest.mark.parametrize("is_rotated", [False, True], ids=["written", "rotated"])
def test_a_misuse_costs_the_next_owner_no_log(
    log: Path, owner: int | None, is_rotated: bool
) -> None:
    held = os.open(log, os.O_WRONLY | os.O_APPEND)
    close_to_its_app(log)
    if is_rotated:
        os.truncate(log, 0)
    _write(log, owner, b"one\n")
    _write(log, owner, b"two\n")
    os.write(held, b"of alice's\n")
    os.close(held)
    assert log.read_bytes() == b"one\ntwo\n"


def test_an_empty_log_is_not_set_aside_over_a_full_one(log: Path) -> None:
    _write(log, MALLORY, b"new\n")
    aside = log.with_name(f"{log.name}.of-uid-{ALICE}")
    _write(log, ALICE, b"")
    os.truncate(log, 0)
    _write(log, None, b"root\n")
    assert aside.read_bytes() == b"one\ntwo\nthree\n", "nothing takes its place"


def test_what_root_has_misused_is_open_to_the_next_owner(log: Path) -> None:
    log.unlink()
    _write(log, None, b"")
    close_to_its_app(log)
    _write(log, ALICE, b"one\n")
    _write(log, ALICE, b"two\n")
    assert log.read_bytes() == b"one\ntwo\n"


def test_of_a_log_of_terabytes_the_end_is_read(log: Path) -> None:
    os.truncate(log, 1 << 40)
    _write(log, ALICE, b"\nlast\n")
    assert _last(str(log), 1, ALICE) == b"last\n"
    assert len(_last(str(log), 9, ALICE) or b"") == MOST_READ


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 10_000, 20_000, 10**9])
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"one",
        b"one\n",
        b"one\ntwo",
        b"\n\n",
        b"long line\n" * 30_000,
        b"x" * MOST_READ * 2,
    ],
    ids=["empty", "break", "half", "one", "one and a half", "breaks", "many", "one long"],
)
def test_the_pieces_of_an_end_are_the_end(log: Path, text: bytes, lines: int) -> None:
    log.write_bytes(text)
    found = find_end(str(log), lines, ALICE)
    assert found
    at, end = found
    pieces = []
    while (piece := read_piece(str(log), at, end, ALICE)).text:
        pieces.append(piece.text)
        at = piece.end
    assert b"".join(pieces) == _last(str(log), lines, ALICE)
    assert at == end
    assert all(len(each) <= MOST_AT_ONCE for each in pieces)


def test_no_piece_is_of_a_log_that_another_tenant_has_now(log: Path) -> None:
    assert find_end(str(log), 9, MALLORY) is None
    found = find_end(str(log), 9, ALICE)
    assert found
    log.write_bytes(b"")
    assert read_piece(str(log), *found, ALICE).text == b"", "it is truncated"
    _write(log, MALLORY, b"hers\n")
    assert read_piece(str(log), *found, ALICE).text == b""


def test_a_link_in_place_of_a_log_is_not_followed(log: Path) -> None:
    link = log.with_name("b.example.log")
    link.symlink_to(log)
    assert _last(str(link), 9, None) is None


def test_what_is_appended_is_read_on(log: Path) -> None:
    start = _place(log)
    _write(log, ALICE, b"four\n")
    part = read_on(str(log), start, ALICE)
    assert (part.text, part.end) == (b"four\n", _place(log))
    assert read_on(str(log), part.end, ALICE).text == b""
    assert read_on(str(log), start, MALLORY).text == b""


@pytest.mark.parametrize("is_renamed", [False, True], ids=["truncated", "another file"])
def test_a_rotated_log_is_read_from_its_beginning(log: Path, is_renamed: bool) -> None:
    start = _place(log)
    if is_renamed:
        log.rename(log.with_name(f"{log.name}.1"))
        assert read_on(str(log), start, ALICE).text == b"", "there is none for a moment"
    else:
        os.truncate(log, 0)
    _write(log, ALICE, b"new\n")
    assert read_on(str(log), start, ALICE).text == b"new\n"


def test_of_too_much_the_last_whole_lines_are_read_on(log: Path) -> None:
    start = _place(log)
    _write(log, ALICE, b"x" * 100 + b"\nlast\n")
    part = read_on(str(log), start, ALICE, most=20)
    assert part.text == b"--- emperord leaves out 101 bytes here ---\nlast\n"
    assert part.end == _place(log)
    _write(log, ALICE, b"y" * 30)
    part = read_on(str(log), part.end, ALICE, most=20)
    assert part.text == b"--- emperord leaves out 10 bytes here ---\n" + b"y" * 20


def test_a_log_that_goes_to_another_tenant_is_not_read_on(log: Path) -> None:
    start = _place(log)
    _write(log, MALLORY, b"secret\n")
    assert read_on(str(log), start, ALICE).text == b""
