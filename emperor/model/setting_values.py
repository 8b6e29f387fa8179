"""How the text of a setting becomes a value, and a value a text. Each parser raises ValueError."""

import configparser
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from emperor.model.backend_address import address_problem
from emperor.model.duration import format_duration, parse_duration
from emperor.model.spec import Activation, Bases, OnChange, Repeat

# A stop takes stop-timeout and some seconds, and systemd is told how long that is.
LONGEST_SECONDS = 86_400.0
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True, slots=True)
class Python:
    """A uWSGI binary with a Python of its own, and the name by which an ini chooses it."""

    name: str
    binary: Path


def seconds(text: str) -> float:
    """A duration in seconds, at most a day. Raises ValueError."""
    value = parse_duration(text)
    if value > LONGEST_SECONDS:
        raise ValueError(f"must be at most {format_duration(LONGEST_SECONDS)}")
    return value


def any_seconds(text: str) -> float:
    """A duration in seconds, however long. Raises ValueError."""
    return parse_duration(text)


def positive_seconds(text: str) -> float:
    """A duration in seconds, above 0 and at most a day. Raises ValueError."""
    if not (value := seconds(text)):
        raise ValueError("must be more than 0 seconds")
    return value


def whole_seconds(text: str) -> int:
    """A duration that uWSGI's `idle` can hold: whole seconds in 31 bits. Raises ValueError."""
    value = parse_duration(text)
    if not value.is_integer():
        raise ValueError("must be a whole number of seconds")
    if value >= 2**31:
        raise ValueError(f"must be less than {2**31} seconds")
    return int(value)


def boolean(text: str) -> bool:
    """`true`, `yes`, `on`, `1` and their opposites. Raises ValueError."""
    try:
        return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def one_of(
    kind: type[Activation] | type[Bases] | type[OnChange] | type[Repeat],
) -> Callable[[str], Any]:
    """A parser for the values of an enumeration."""

    def parse(text: str) -> Enum:
        try:
            return kind(text)
        except ValueError:
            choices = " or ".join(member.value for member in kind)
            raise ValueError(f"must be {choices}") from None

    return parse


def path_of(text: str) -> Path:
    """An absolute path."""
    if not text.startswith("/"):
        raise ValueError("must be an absolute path")
    return Path(text)


def optional_path(text: str) -> Path | None:
    """An absolute path; None for an empty text."""
    return path_of(text) if text else None


def ini_path(text: str) -> Path | None:
    """The path of an ini, None for an empty text."""
    path = optional_path(text)
    if path is not None and path.suffix != ".ini":
        raise ValueError("must be the path of a file whose name ends in .ini")
    return path


def pythons_of(text: str) -> tuple[Python, ...]:
    """A list of NAME:/path/to/uwsgi."""
    pythons: list[Python] = []
    for part in text.split():
        name, colon, path = part.partition(":")
        if not (name and colon and path.startswith("/")):
            raise ValueError("must be NAME:/path/to/uwsgi, several of them separated by blanks")
        if name in {python.name for python in pythons}:
            raise ValueError(f"names {name} twice")
        pythons.append(Python(name, Path(path)))
    return tuple(pythons)


def backlog_of(text: str) -> int:
    """The length of a queue, from 1 to 65535."""
    value = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= value <= 65535:
        raise ValueError("must be a number from 1 to 65535")
    return value


def bound_of(text: str) -> int:
    """A number, 0 for no bound."""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError("must be a number, 0 for no bound")
    return int(text)


def uid_of(text: str) -> int:
    """The number of a user."""
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError("must be the number of a user")
    return int(text)


def size_of(text: str) -> int:
    """A number of bytes with a unit, 0 for no bound."""
    written = re.fullmatch("([0-9]{1,9})([KMG]?)", text)
    if not written:
        raise ValueError("must be a size such as 100M, 0 for no bound")
    return int(written[1]) * _UNITS[written[2]]


def mode_of(text: str) -> int:
    """An octal mode."""
    if not re.fullmatch("0?[0-7]{1,3}", text):
        raise ValueError("must be an octal mode such as 0660")
    return int(text, 8)


def command_of(text: str) -> tuple[str, ...]:
    """The words of a command."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"must be a command in shell syntax: {error}") from error


def absolute_command_of(text: str) -> tuple[str, ...]:
    """The words of a command whose program is named by its absolute path."""
    words = command_of(text)
    if words and not words[0].startswith("/"):
        raise ValueError("must begin with the absolute path of a program")
    return words


def url_of(text: str) -> str:
    """A URL of HTTP, or an empty text."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be a URL such as https://chat.example.com/hook")
    return text


def backend_of(text: str) -> str:
    """The address of a backend as in a load balancer's list, or an empty text."""
    if text and (problem := address_problem(text)):
        raise ValueError(f"{problem}; write it as load balancers have it, such as 192.0.2.11")
    return text


def spelled_value(value: Any) -> str:
    """The text of a value. A duration has a unit."""
    if value is None:
        return ""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return shlex.join(value)
    return format_duration(value) if isinstance(value, float) else str(value)


def spelled_mode(mode: int) -> str:
    """A mode as text."""
    return f"{mode:04o}"


def spelled_size(size: int) -> str:
    """A number of bytes as text."""
    unit = next(unit for unit in ("G", "M", "K", "") if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}" if size else "0"


def spelled_pythons(pythons: tuple[Python, ...]) -> str:
    """A list of Pythons as text."""
    return " ".join(f"{python.name}:{python.binary}" for python in pythons)
