"""The program that byte-compiles writes what Python would write, and no tree holds it up."""

import importlib.util
import json
import os
import py_compile
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from pwd import getpwnam

import msgspec
import pytest

from emperor.linux.processes import without_capabilities
from emperor.uwsgi.byte_code import PROGRAM, CompileOutcome, CompileRequest
from tests.eventually import PATIENCE_SECONDS

_OTHER = getpwnam("games").pw_uid


def compiled(folder: Path, **changes: object) -> CompileOutcome:
    """What the program tells of that folder."""
    request = replace(CompileRequest(sys.version_info[:2], (str(folder),)), **changes)  # type: ignore[arg-type]
    argv = [sys.executable, "-I", "-S", "-c", PROGRAM, json.dumps(asdict(request))]
    done = subprocess.run(
        without_capabilities(argv) if request.owner == 0 else argv,
        capture_output=True, timeout=PATIENCE_SECONDS, check=True,
    )  # fmt: skip
    assert not done.stderr
    return msgspec.json.decode(done.stdout, type=CompileOutcome)


def names(folder: Path) -> set[str]:
    """The modules that have byte code below that folder."""
    return {path.name.partition(".")[0] for path in folder.rglob("*.pyc")}


def module(path: Path, text: str = "x = 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def byte_code_of(source: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(source)))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_byte_code_is_that_of_python(tmp_path: Path, level: int) -> None:
    source = module(tmp_path / "a.py", "'''text'''\nassert True\nx = [n for n in range(3)]\n")
    compiled(tmp_path, optimize=level)
    written = {path.name: path.read_bytes() for path in (tmp_path / "__pycache__").iterdir()}
    mode = {path.stat().st_mode & 0o777 for path in (tmp_path / "__pycache__").iterdir()}
    assert mode == {source.stat().st_mode & 0o777}
    expected = py_compile.compile(str(source), doraise=True, optimize=level)
    assert expected is not None
    assert written == {Path(expected).name: Path(expected).read_bytes()}


def test_what_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    source = module(tmp_path / "a.py")
    assert (compiled(tmp_path).compiled, compiled(tmp_path).current) == (1, 1)
    # An older version comes back, as from a backup.
    source.write_text("x = 2\n")
    os.utime(source, (1e9, 1e9))
    assert (compiled(tmp_path).compiled, compiled(tmp_path).current) == (1, 1)
    os.utime(byte_code_of(source), (1, 1))
    assert (compiled(tmp_path).compiled, compiled(tmp_path).current) == (0, 1)


def test_byte_code_that_is_checked_by_hash_is_left_alone(tmp_path: Path) -> None:
    source = module(tmp_path / "a.py")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    written = py_compile.compile(str(source), doraise=True, invalidation_mode=mode)
    assert written is not None
    os.utime(written, (1, 1))
    before = Path(written).read_bytes()
    assert compiled(tmp_path).compiled == 0
    assert Path(written).read_bytes() == before


def test_only_modules_of_the_app_are_compiled(tmp_path: Path) -> None:
    for wanted in ("a.py", "package/b.py", "package/deep/c.py"):
        module(tmp_path / wanted)
    for other in ("node_modules/d.py", ".git/e.py", "venv/lib/f.py"):
        module(tmp_path / other)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    assert compiled(tmp_path).compiled == 3
    assert names(tmp_path) == {"a", "b", "c"}


def test_no_tree_holds_it_up(tmp_path: Path) -> None:
    app = tmp_path / "app"
    module(app / "good.py")
    module(app / "bad.py", "def\n")
    module(app / "nul.py", "x = '\0'\n")
    module(app / "deep.py", "(" * 5000)
    module(app / "not_utf8.py").write_bytes(b"x = '\xff'\n")
    with module(app / "large.py").open("wb") as file:
        file.truncate(10 << 30)
    os.mkfifo(app / "pipe.py")
    (app / "folder.py").mkdir()
    (app / "loop").symlink_to(app)
    (app / "self.py").symlink_to("self.py")
    (app / "memory.py").symlink_to("/dev/zero")
    module(tmp_path / "elsewhere" / "other.py")
    (app / "elsewhere").symlink_to(tmp_path / "elsewhere")
    outcome = compiled(app)
    assert (outcome.compiled, outcome.stopped) == (1, "")
    assert names(tmp_path) == {"good"}


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        ({"most_files": 5}, "there are more than 5 files"),
        ({"most_bytes": 1 << 20}, "there are more than 1 MB"),
        ({"seconds": 0.0}, "it took more than 0 s of the CPU"),
    ],
)  # fmt: skip
def test_it_stops_at_its_bounds(tmp_path: Path, bound: dict[str, object], text: str) -> None:
    for number in range(9):
        module(tmp_path / f"m{number}.py", "#" * (300 << 10))
    assert compiled(tmp_path, **bound).stopped == text
    assert len(names(tmp_path)) < 9


def test_an_endless_tree_ends(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(100):
        folder /= "d"
        module(folder / "a.py")
    outcome = compiled(tmp_path)
    assert 30 < outcome.compiled < 50


def test_a_python_of_another_version_does_nothing(tmp_path: Path) -> None:
    module(tmp_path / "a.py")
    request = asdict(CompileRequest((2, 7), (str(tmp_path),)))
    argv = [sys.executable, "-I", "-S", "-c", PROGRAM, json.dumps(request)]
    assert subprocess.run(argv, capture_output=True, check=True).stdout == b""
    assert not names(tmp_path)


def test_byte_code_goes_where_the_app_has_it(tmp_path: Path) -> None:
    source = module(tmp_path / "app" / "a.py")
    prefix = tmp_path / "cache"
    assert compiled(tmp_path / "app", prefix=str(prefix)).compiled == 1
    assert not names(tmp_path / "app")
    assert [path.parent for path in prefix.rglob("*.pyc")] == [
        prefix / str(source.parent).lstrip("/")
    ]


def test_root_leaves_alone_what_others_can_change(tmp_path: Path) -> None:
    app = tmp_path / "app"
    mine = module(app / "mine.py")
    for theirs in ("theirs.py", "folder/theirs.py", "cached/theirs.py", "open/theirs.py"):
        module(app / theirs)
    os.chown(app / "theirs.py", _OTHER, _OTHER)
    os.chown(app / "folder", _OTHER, _OTHER)
    (app / "cached" / "__pycache__").mkdir()
    os.chown(app / "cached" / "__pycache__", _OTHER, _OTHER)
    (app / "open").chmod(0o777)
    module(tmp_path / "target.py")
    os.chown(tmp_path / "target.py", _OTHER, _OTHER)
    (app / "link.py").symlink_to(tmp_path / "target.py")
    outcome = compiled(app, owner=0)
    assert outcome.compiled == 1
    assert names(tmp_path) == {mine.stem}


def test_root_enters_no_folder_through_a_tenants(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    module(theirs / "app" / "a.py")
    os.chown(theirs, _OTHER, _OTHER)
    (tmp_path / "link").symlink_to(theirs / "app")
    assert compiled(theirs / "app", owner=0).compiled == 0
    assert compiled(tmp_path / "link", owner=0).compiled == 0
    assert not names(tmp_path)
