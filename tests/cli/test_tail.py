"""The end of a file, however long its lines are."""

import os
import tempfile
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.cli import tail


@given(
    content=st.lists(st.sampled_from([b"\n", b"a", b"bc"])).map(b"".join),
    lines=st.integers(min_value=0, max_value=9),
    block=st.integers(min_value=1, max_value=7),
)
def test_the_last_lines_are_the_last_lines(content: bytes, lines: int, block: int) -> None:
    with tempfile.NamedTemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "BLOCK", block)
        file.write(content)
        file.flush()
        result = b"".join(tail.last(Path(file.name), lines))
    split = content.splitlines(keepends=True)
    assert result == b"".join(split[max(0, len(split) - lines) :])


def test_a_hole_of_terabytes_ends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\n")
    os.truncate(path, 1 << 43)
    assert b"".join(tail.last(path, 5)) == b""
    with path.open("ab") as log:
        log.write(b"\nlast\n")
    assert b"".join(tail.last(path, 5)).lstrip(b"\0") == b"\nlast\n"


def test_a_file_without_any_newline_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (3 * tail.BLOCK))
    assert b"".join(tail.last(path, 5)) == path.read_bytes()


def test_what_is_appended_while_a_hole_is_looked_for_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")

    class WrittenToMeanwhile(FileIO):
        """A file that grows just after the reader was told that nothing more is in it."""

        def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
            try:
                return super().seek(position, whence)
            except OSError:
                with path.open("ab") as log:
                    log.write(b"two\n")
                raise

    monkeypatch.setattr(tail, "FileIO", WrittenToMeanwhile)
    pieces = tail.follow(path, 5)
    assert [next(pieces), next(pieces)] == [b"one\n", b"two\n"]


def test_a_file_that_grows_without_end_ends(tmp_path: Path) -> None:
    """An app may print faster than a terminal shows it."""
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\n")
    read = b""
    with path.open("ab", buffering=0) as log:
        for piece in tail.last(path, 1):
            read += piece
            assert len(read) < 1000
            log.write(b"more\n")
    assert read == b"two\n"
