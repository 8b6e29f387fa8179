"""A home of Python that was made for another Python than that of uWSGI."""

import os
from pathlib import Path

import pytest

from emperor.linux.access import FileSystem
from emperor.model.spec import Identity
from emperor.uwsgi.findings import Severity
from emperor.uwsgi.homes import Home, shows_packages_of_system, unusable_home

NOBODY = Identity(65534, 65534, "nobody")
ROOT = Identity(0, 0, "root")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A virtual environment of Python 3.11."""
    (tmp_path / "lib" / "python3.11").mkdir(parents=True)
    (tmp_path / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    return tmp_path


def findings(home: Path, version: str, line: int = 3, user: Identity = ROOT) -> list[str]:
    found = unusable_home(Home(str(home), line), user, FileSystem(), version)
    return [f"{each.text}; {each.cure}".replace(str(home), "HOME") for each in found]


def test_a_home_of_another_python_is_named_with_both_versions(home: Path) -> None:
    assert findings(home, "3.11") == []
    text = (
        "HOME is a virtual environment of Python 3.11, and uWSGI has 3.13, so the app lacks its"
        " packages; make it anew by python3.13 -m venv, or "
    )
    assert findings(home, "3.13") == [f"{text}choose its Python by python in [emperor]"]
    assert findings(home, "3.13", line=0) == [f"{text}drop python-home"]


def test_a_home_whose_python_is_gone_gets_a_note(home: Path) -> None:
    (home / "pyvenv.cfg").write_text("home = /opt/gone/bin\n")
    (finding,) = unusable_home(Home(str(home), 3), ROOT, FileSystem(), "3.11")
    assert (finding.line, finding.severity) == (3, Severity.NOTE)
    assert finding.text.startswith(f"{home} was made by the Python in /opt/gone/bin, which is gone")
    assert finding.cure == "make it anew by python3.11 -m venv"
    (home / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to("/usr/bin/python2.9")
    (text,) = findings(home, "3.11")
    assert "HOME was made by the Python that HOME/bin/python is a link to, which is gone" in text
    (home / "bin" / "python").unlink()
    (home / "bin" / "python").symlink_to("/usr/bin/env")
    assert findings(home, "3.11") == []


def test_a_home_that_has_no_python_at_all_starts_no_app(home: Path) -> None:
    (home / "pyvenv.cfg").unlink()
    (finding,) = findings(home, "3.13")
    assert finding.startswith("HOME is no virtual environment of Python 3.13, so the app does not")


def test_a_home_that_its_user_cannot_enter_is_told_elsewhere(home: Path) -> None:
    home.chmod(0o700)
    assert findings(home, "3.13", user=NOBODY) == []


def test_a_virtualenv_tells_if_it_shows_the_systems_packages(home: Path) -> None:
    assert shows_packages_of_system(str(home)) is False
    (home / "pyvenv.cfg").write_text("Include-System-Site-Packages = TRUE\nhome = /usr/bin\n")
    assert shows_packages_of_system(str(home)) is True


@pytest.mark.timeout(10)
def test_a_pipe_in_the_place_of_its_file_holds_nobody_up(home: Path) -> None:
    (home / "pyvenv.cfg").unlink()
    assert shows_packages_of_system(str(home)) is None
    os.mkfifo(home / "pyvenv.cfg")
    assert shows_packages_of_system(str(home)) is None
