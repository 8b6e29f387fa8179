"""What bases run: a Python, and uWSGI as a module for it."""

import os
import sys
from dataclasses import dataclass
from importlib import util

_DIST_INFO = ".dist-info"
_OWN_CODE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside")

# Files, each with its number and the moment of its last change: another value after an upgrade.
Version = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Program:
    """What a base runs: a Python, and the module pyuwsgi that was built for it."""

    python: str
    pyuwsgi: str

    def version(self) -> Version:
        """The version of the files of a base, which is another one after an upgrade of Python or of
        emperord. Raises OSError."""
        return version_of(self.python, os.path.dirname(os.__file__), self.pyuwsgi)


def code_version() -> Version:
    """The version of what a base runs of emperord. Raises OSError."""
    return version_of(_OWN_CODE)


def own_program() -> Program | str:
    """The Python of emperord, with the pyuwsgi that is installed there; or why it cannot be used:
    both ways to start an app must have the same uWSGI."""
    found = util.find_spec("pyuwsgi")
    if found is None or found.origin is None:
        return "pyuwsgi is not installed"
    folder = os.path.dirname(found.origin)
    uwsgi, pyuwsgi = (_installed(folder, name) for name in ("uwsgi", "pyuwsgi"))
    if uwsgi != pyuwsgi:
        return f"there are uwsgi {uwsgi} and pyuwsgi {pyuwsgi}"
    return Program(os.path.realpath(sys.executable), found.origin)


def _installed(folder: str, package: str) -> str:
    """The version of a package in that folder. importlib.metadata takes 20 ms to import."""
    for entry in os.listdir(folder):
        name, _, rest = entry.partition("-")
        if name.lower() == package and rest.endswith(_DIST_INFO):
            return rest.removesuffix(_DIST_INFO)
    return "of no known version"


def version_of(*files: str) -> Version:
    """The version of these files and folders. Raises OSError."""
    return tuple((found.st_ino, found.st_mtime_ns) for found in map(os.stat, files))
