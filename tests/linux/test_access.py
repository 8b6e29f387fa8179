"""What a user can do at a path, compared with what the kernel lets that user do."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.linux.access import FileSystem
from emperor.linux.processes import as_identity
from emperor.model.access import Access, FileKind, Reach
from emperor.model.spec import Identity
from tests.traces import public_folder

ROOT = Identity(0, 0, "root")
WEB = Identity(33, 33, "www-data")
NAMELESS = Identity(4711, 33, None)


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


def access(path: Path, user: Identity = WEB) -> Access:
    return FileSystem().access(str(path), user)


def may(user: Identity, test: str, path: Path) -> bool:
    command = as_identity(user, ["test", f"-{test}", str(path)])
    return subprocess.run(command, check=False).returncode == 0


MODES = [(mode, owner, group) for mode in (0o700, 0o070, 0o007, 0o640, 0o604, 0o110, 0o222)
         for owner, group in ((0, 0), (33, 0), (0, 33), (4711, 4711))]  # fmt: skip


@pytest.mark.parametrize("user", [ROOT, WEB, NAMELESS], ids=lambda user: user.uid)
@pytest.mark.parametrize(("mode", "owner", "group"), MODES)
def test_a_folder_opens_as_the_kernel_says(
    folder: Path, user: Identity, mode: int, owner: int, group: int
) -> None:
    place = folder / "place"
    place.mkdir()
    (place / "inside").touch()
    os.chown(place, owner, group)
    place.chmod(mode)
    found = access(place, user)
    assert (found.reach, found.kind) == (Reach.REACHED, FileKind.FOLDER)
    allowed = (found.can_read, found.can_write, found.can_enter)
    assert allowed == tuple(may(user, test, place) for test in "rwx")
    is_reached = access(place / "inside", user).reach is Reach.REACHED
    assert is_reached == may(user, "e", place / "inside")


def test_what_is_missing_or_closed_on_the_way_is_named(folder: Path) -> None:
    (folder / "closed" / "open").mkdir(parents=True)
    (folder / "closed").chmod(0o700)
    (folder / "file").touch()
    assert access(folder / "no" / "more") == Access(Reach.MISSING, f"{folder}/no")
    assert access(folder / "file" / "more") == Access(Reach.MISSING, f"{folder}/file/more")
    assert access(folder / "closed" / "open") == Access(Reach.CLOSED, f"{folder}/closed")
    assert access(folder / "closed" / "open", ROOT).reach is Reach.REACHED


def test_a_link_leads_to_its_target(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    (folder / "link").symlink_to("closed/inside")
    (folder / "loop").symlink_to("loop")
    assert access(folder / "link") == Access(Reach.MISSING, f"{folder}/closed/inside")
    (folder / "closed" / "inside").touch()
    assert access(folder / "link") == Access(Reach.CLOSED, f"{folder}/closed")
    assert access(folder / "loop").reach is Reach.MISSING
    assert access(folder / "closed" / ".." / "link", ROOT).kind is FileKind.FILE


def test_what_this_process_may_not_see_is_unseen(folder: Path) -> None:
    (folder / "closed" / "open").mkdir(parents=True)
    (folder / "closed").chmod(0o700)
    os.seteuid(65534)
    try:
        assert access(folder / "closed" / "open" / "a").reach is Reach.UNSEEN
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"#!/bin/sh -e\ntrue\n", "#!/bin/sh -e"),
        (b"#!/bin/sh\r\ntrue\n", "#!/bin/sh\r"),
        (b"#!" + b"/x" * 200, "#!" + "/x" * 127),
        (b"\x7fELF\xff\n", ""),
        (b"", ""),
    ],
)
def test_the_first_line_is_that_of_the_kernel(folder: Path, content: bytes, line: str) -> None:
    (folder / "script").write_bytes(content)
    assert FileSystem().first_line(str(folder / "script")) == line


def test_what_is_no_readable_file_has_no_first_line(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    found = FileSystem()
    assert [found.first_line(f"{folder}/{name}") for name in ("pipe", "", "no", "a\0b")] == [""] * 4
