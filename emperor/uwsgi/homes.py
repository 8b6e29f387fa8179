"""Finds the homes of Python that were made for another Python than that of uWSGI, or by one that is
gone, as virtual environments are after an upgrade of the system."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emperor.model.access import Reach
from emperor.model.spec import Identity
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import Ini
from emperor.uwsgi.needs import Files, Need, problem_at
from emperor.uwsgi.paths import resolved_path
from emperor.uwsgi.places import places
from emperor.uwsgi.pythons import named_home

_MADE = "pyvenv.cfg"
_LONGEST = 1 << 16
# The versions that a home may have been made for.
_VERSIONS = ("2.7", *(f"3.{minor}" for minor in range(4, 40)))


@dataclass(frozen=True, slots=True)
class Home:
    """The home of Python at the absolute `path`. `line` is that of the ini, or 0 for `python-home`
    of the settings."""

    path: str
    line: int


def home_of(ini: Ini, folder: str, default: Path | None) -> Home | None:
    """The home that the ini in `folder` names, or `default`; None where only uWSGI knows."""
    named = named_home(ini)
    if named is None:
        return None if default is None else Home(str(default), 0)
    path = resolved_path(named.value, places(ini.last, folder).folder)
    return None if path is None else Home(path, named.line)


def unusable_home(home: Home, user: Identity, files: Files, version: str) -> Iterator[Finding]:
    """A finding about a virtual environment that is not one of uWSGI's own Python `version`, for
    example 3.11, or whose Python is gone. A folder without pyvenv.cfg counts as a whole Python
    (plugins/python)."""

    def is_missing(path: str) -> bool:
        return files.access(f"{home.path}/{path}", user).reach is Reach.MISSING

    if problem_at(Need.ENTER, home.path, user, files):
        return
    if not is_missing(_library(version)):
        yield from _orphaned(home, user, files, version)
        return
    cure = f"make it anew by python{version} -m venv, or "
    cure += "choose its Python by python in [emperor]" if home.line else "drop python-home"
    if is_missing(_MADE):
        text = f"{home.path} is no virtual environment of Python {version}"
        yield Finding(home.line, Severity.ERROR, f"{text}, so the app does not start", cure)
        return
    made_for = next((each for each in _VERSIONS if not is_missing(_library(each))), "another")
    text = f"{home.path} is a virtual environment of Python {made_for}, and uWSGI has {version}"
    yield Finding(home.line, Severity.WARNING, f"{text}, so the app lacks its packages", cure)


def _orphaned(home: Home, user: Identity, files: Files, version: str) -> Iterator[Finding]:
    """A finding about a virtual environment whose own Python is gone. uWSGI has another one."""
    python = f"{home.path}/bin/python"
    made_by = (_made(home.path) or {}).get("home", "")
    if made_by.startswith("/") and files.access(made_by, user).reach is Reach.MISSING:
        gone = f"the Python in {made_by}"
    elif os.path.islink(python) and files.access(python, user).reach is Reach.MISSING:
        gone = f"the Python that {python} is a link to"
    else:
        return
    text = f"{home.path} was made by {gone}, which is gone; the app runs with that of uWSGI, but"
    text += " programs of the environment, as pip, do not start"
    yield Finding(home.line, Severity.NOTE, text, f"make it anew by python{version} -m venv")


def _library(version: str) -> str:
    return f"lib/python{version}"


def shows_packages_of_system(home: str) -> bool | None:
    """Whether the virtual environment shows what the system has, too; None where there is no
    virtual environment."""
    made = _made(home)
    return None if made is None else made.get("include-system-site-packages", "").lower() == "true"


def _made(home: str) -> dict[str, str] | None:
    """What pyvenv.cfg says, by its keys in lower case; None where there is none. Never waits for a
    pipe, which a tenant may have put there."""
    try:
        with open(os.open(f"{home}/{_MADE}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            text = file.read(_LONGEST)
    except (OSError, UnicodeDecodeError):
        return None
    parts = (line.partition("=") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, _, value in parts}
