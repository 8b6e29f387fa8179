"""The versions of the programs that are compared."""

import re
import subprocess
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("Flask", "Django", "Wagtail", "gunicorn")
_COMMANDS = {
    "systemd": ("systemd-socket-activate", "--version"),
    "Passenger": ("passenger-config", "--version"),
    "Apache": ("apache2", "-v"),
}
_NUMBER = re.compile(r"\d+(\.\d+)*")


def peers() -> dict[str, str]:
    """The versions by name, without those of what is not installed."""
    found = {name: _package(name) for name in _PACKAGES}
    found |= {name: _said_by(command) for name, command in _COMMANDS.items()}
    return {name: text for name, text in found.items() if text}


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _said_by(command: tuple[str, ...]) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        return ""
    number = _NUMBER.search(result.stdout)
    return number[0] if number else ""
