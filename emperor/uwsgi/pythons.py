"""Decides which uWSGI, and so which Python, runs an app, and where that Python finds its packages.

uWSGI's Python takes the folder of the binary for its own. Our binary is in the virtual environment
of emperord, so it is told another home: an app sees what the system's Python sees.

Only root names binaries, since `emperorctl check` runs them too. A tenant chooses among these.
"""

import os
import sys
from pathlib import Path

from emperor.model.definition import FileOwner
from emperor.model.settings import Settings
from emperor.uwsgi.identity import Accounts, is_administrator
from emperor.uwsgi.ini import HOMES, Ini, Option

# The Python that emperord runs with. The uWSGI beside it was built for the same one.
OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

# Options of plugins/python from which Python infers its home. A `home` would win over them.
_PROGRAM_NAMES = frozenset({"py-programname", "py-program-name"})
# Python prefers the virtual environment of the binary to this variable.
_HOME_VARIABLE = "PYTHONHOME="


def own_python_home(uwsgi: Path) -> str:
    """The home for apps that the binary `uwsgi` should run with: of the Python that emperord's
    environment was made with. Empty for a binary that is not in that environment."""
    is_ours = sys.prefix != sys.base_prefix and uwsgi.parent == Path(sys.executable).parent
    return sys.base_prefix if is_ours else ""


def python_of(version: str, uwsgi: str) -> str | None:
    """A Python of that version, as 3.11, that nobody but root can have chosen: the one that this
    uWSGI was built for, or one like it. None where there is none."""
    beside = Path(uwsgi).parent
    folders = (f"{sys.base_prefix}/bin", "/usr/bin", "/usr/local/bin", str(beside))
    paths = (f"{folder}/python{version}" for folder in folders)
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def binary_of(ini: Ini, settings: Settings, owner: FileOwner, accounts: Accounts) -> str:
    """The binary that the ini chooses, empty for the daemon's own. Raises BrokenIni."""
    named, chosen = ini.attribute("uwsgi-binary"), ini.attribute("python")
    if named is not None:
        if not is_administrator(owner, accounts):
            raise named.broken(
                "uwsgi-binary may stand in an ini of root's alone",
                "write python = NAME, with one of the `pythons` in emperord.ini",
            )
        if not named.value.startswith("/"):
            raise named.broken(f"uwsgi-binary = {named.value} is relative", "write the whole path")
        return named.value
    return "" if chosen is None else _binary_called(chosen, settings)


def _binary_called(chosen: Option, settings: Settings) -> str:
    for python in settings.pythons:
        if python.name == chosen.value:
            return str(python.binary)
    names = [python.name for python in settings.pythons]
    if settings.uwsgi_binary is None:
        if chosen.value == OWN_VERSION:
            return ""
        names.append(OWN_VERSION)
    there_are = f"there are {', '.join(sorted(names))}" if names else "there is none"
    raise chosen.broken(
        f"there is no Python {chosen.value!r}: {there_are}",
        "have root add it to `pythons` in emperord.ini",
    )


def named_home(ini: Ini) -> Option | None:
    """The option that names the home of Python: the last one of [uwsgi], or that of [emperor]."""
    return ini.last_of(HOMES) or ini.attribute("python-home")


def python_home_of(ini: Ini, settings: Settings, binary: str) -> str | None:
    """The home of Python while the ini names none; None stands for `own_python_home`, and an empty
    text leaves the choice to uWSGI. Raises BrokenIni."""
    if ini.last_of(_PROGRAM_NAMES):
        return ""
    for option in reversed(ini.options if "env" in ini.last else ()):
        if option.key == "env" and option.value.startswith(_HOME_VARIABLE):
            if home := option.value.removeprefix(_HOME_VARIABLE):
                return home
            break  # as Python takes it, the same as none
    if named := ini.attribute("python-home"):
        if not named.value.startswith("/"):
            raise named.broken(f"python-home = {named.value} is relative", "write the whole path")
        return named.value
    if binary:
        return ""
    return None if settings.python_home is None else str(settings.python_home)
