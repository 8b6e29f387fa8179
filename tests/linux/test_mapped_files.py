"""Which files of a process are replaced, by those that this process itself has mapped."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.linux.mapped_files import MappedFiles

# When all changes of a test are long ago.
LATER_NS = 2**62


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Path]:
    """A file that this process has in memory."""
    path = tmp_path / "lib with a space.so"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        yield path


def replace(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(bytes(mmap.PAGESIZE))
    new.rename(path)


@pytest.mark.parametrize("now_ns", [0, LATER_NS], ids=["just changed", "unchanged for long"])
def test_a_replaced_file_is_seen(library: Path, now_ns: int) -> None:
    mapped = MappedFiles(os.getpid(), lambda: now_ns)
    assert not mapped.are_replaced()
    assert not mapped.are_replaced()
    replace(library)
    assert mapped.are_replaced()
    assert mapped.are_replaced()


def test_another_file_of_the_folder_is_none(library: Path) -> None:
    mapped = MappedFiles(os.getpid(), lambda: LATER_NS)
    assert not mapped.are_replaced()
    library.with_name("another.so").touch()
    assert not mapped.are_replaced()
    replace(library)
    assert mapped.are_replaced()


def test_a_removed_folder_is_seen(library: Path) -> None:
    mapped = MappedFiles(os.getpid(), lambda: LATER_NS)
    assert not mapped.are_replaced()
    library.unlink()
    library.parent.rmdir()
    assert mapped.are_replaced()


def test_a_process_that_is_gone_is_an_error() -> None:
    with pytest.raises(OSError):
        MappedFiles(2**22 + 1).are_replaced()
