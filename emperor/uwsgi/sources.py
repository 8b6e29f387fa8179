"""Decides which folders have the Python sources of an app: its own, and those of its packages."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from emperor.model.settings import Settings
from emperor.uwsgi.ini import Ini, leading_number, refers
from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.places import places
from emperor.uwsgi.pythons import named_home
from emperor.uwsgi.spec import MOUNTED_FILES

_FILES = frozenset({"file", "wsgi-file"})
_MOUNTS = frozenset({"mount", "worker-mount"})
_PATHS = frozenset({"pythonpath", "python-path", "pp"})
# The package manager compiles what it installs there.
_OF_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/share", "/lib", "/lib64")
# A folder such as / or /srv has more than an app.
_LEAST_DEPTH = 2
_GLOB = re.compile(r"[*?\[]")
# Whether this is set, and not its value, counts.
_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"


@dataclass(frozen=True, slots=True)
class Sources:
    """The folders of an app's own sources, and the homes of its packages. The byte code is of that
    `level` of optimization, beside the sources or below `prefix`."""

    folders: tuple[str, ...]
    homes: tuple[str, ...]
    level: int = 0
    prefix: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to look at."""
        return not (self.folders or self.homes)

    def with_packages(self, version: str) -> tuple[str, ...]:
        """All folders, with those of the packages for that version of Python."""
        packages = (
            f"{home}/{lib}/python{version}/site-packages"
            for home in self.homes for lib in ("lib", "lib64")
        )  # fmt: skip
        return (*self.folders, *filter(_is_fit, packages))


def sources_of(ini: Ini, folder: str, options: UwsgiOptions, settings: Settings) -> Sources | None:
    """What `ini`, in `folder`, has Python import. None where it is not known, and where the ini
    has Python write no byte code."""
    last = ini.last
    variables = _variables(ini)
    where = places(last, folder).folder
    if "chroot" in last or where is None or variables.get(_NO_BYTE_CODE):
        return None
    named = (os.path.normpath(os.path.join(where, each)) for each in _named(ini, variables))
    folders = dict.fromkeys(each for each in named if _is_fit(each) and each != folder)
    home = named_home(ini)
    homes = [home.value] if home else [options.python_home or str(settings.python_home or "")]
    level = last.get("optimize")
    return Sources(
        tuple(folders),
        tuple(os.path.join(where, each) for each in homes if each and not refers(each)),
        min(2, max(0, leading_number(level.value))) if level else 0,
        variables.get("PYTHONPYCACHEPREFIX", ""),
    )


def _named(ini: Ini, variables: dict[str, str]) -> Iterator[str]:
    """The folders that the ini names, as it spells them."""
    for option in ini.options:
        value = option.value
        if refers(value) or _GLOB.search(value):
            continue
        if option.key in _PATHS or option.key == "chdir":
            yield value
        elif option.key in _FILES:
            yield os.path.dirname(value)
        elif option.key in _MOUNTS and value.endswith(MOUNTED_FILES):
            yield os.path.dirname(value.partition("=")[2])
    yield from filter(None, variables.get("PYTHONPATH", "").split(":"))


def _variables(ini: Ini) -> dict[str, str]:
    """The environment that the ini gives Python."""
    named = (option.value.partition("=") for option in ini.options if option.key == "env")
    return {name: value for name, _, value in named}


def _is_fit(folder: str) -> bool:
    """Whether all that is below the folder may be for the app, and not for the system."""
    parts = os.path.normpath(folder).split("/")[1:]
    is_of_system = any(folder == each or folder.startswith(f"{each}/") for each in _OF_SYSTEM)
    return len(parts) >= _LEAST_DEPTH and not is_of_system
