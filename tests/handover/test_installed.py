"""Whether a start would load what this process was loaded from."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from emperor.handover.installed import Installed

# No file of a test is older than the test.
_LATER = 10.0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules, with a program, a module that was imported, and a .pth file."""
    for name in ("program", "loaded.py", "paths.pth"):
        (tmp_path / name).write_text("1\n")
    module = ModuleType("loaded_by_test_installed")
    module.__file__ = str(tmp_path / "loaded.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "paths.pth").write_text("1\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "modules")])
    for folder in (tmp_path, tmp_path / "modules"):
        # The clock of a file system goes in steps, within which a test makes its change.
        os.utime(folder, (1, 1))
    return tmp_path


def replaced(path: Path) -> None:
    path.with_suffix(".new").write_text("1\n")
    path.with_suffix(".new").rename(path)


def edited(path: Path) -> None:
    before = path.stat()
    path.write_text("22\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_has_not_changed_needs_no_proof(place: Path) -> None:
    installed = Installed(str(place / "program"), time.time() + _LATER)
    assert not installed.is_unchanged(), "it has noted nothing yet"
    installed.note()
    assert installed.is_unchanged()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (replaced, "program"),
        (edited, "program"),
        (Path.unlink, "program"),
        (replaced, "loaded.py"),
        (edited, "loaded.py"),
        (edited, "modules/paths.pth"),
        (Path.touch, "modules/a_module_that_is_new.py"),
        (Path.mkdir, "a_package_beside_it"),
    ],
)
def test_each_change_needs_a_proof(place: Path, change: Callable[[Path], None], name: str) -> None:
    installed = Installed(str(place / "program"), time.time() + _LATER)
    installed.note()
    change(place / name)
    assert not installed.is_unchanged()


def test_what_changed_while_it_was_loaded_needs_a_proof(place: Path) -> None:
    installed = Installed(str(place / "program"), time.time())
    installed.note()
    assert not installed.is_unchanged()
