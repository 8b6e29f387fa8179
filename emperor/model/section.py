"""A section of a settings file: its keys, and the errors of people who write one."""

import configparser
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


class SettingsError(Exception):
    """A setting cannot be used. The message names the file and the line, or the flag."""


def not_utf8(file: str, error: UnicodeDecodeError) -> SettingsError:
    """Why the text of that file cannot be read."""
    line = error.object.count(b"\n", 0, error.start) + 1
    return SettingsError(f"cannot read {file}: line {line}: it is not UTF-8 text; save it as UTF-8")


@dataclass(frozen=True, slots=True)
class SectionKey:
    """A key: its name, its default, how a text becomes a value, and its meaning."""

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str

    @property
    def field(self) -> str:
        """The attribute that holds the value."""
        return self.name.replace("-", "_")


def values_of(
    keys: Collection[SectionKey], text: str, origin: str, section: str, manual: str
) -> dict[str, Any]:
    """The values, by field, of the section of a file named `origin`. Raises SettingsError that
    names the line, the key, and what would be right."""
    written = keys_of(text, origin, section, [key.name for key in keys], manual)
    values: dict[str, Any] = {}
    for key in keys:
        value = written.get(key.name, key.default)
        try:
            values[key.field] = key.parse(value)
        except ValueError as error:
            line = line_of(key.name, text, section)
            where = f"{origin}, line {line}" if key.name in written else origin
            raise SettingsError(
                f"cannot use {key.name} = {value!r} from {where}: {error}"
            ) from error
    return values


def keys_of(
    text: str, origin: str, section: str, known: Collection[str], manual: str
) -> Mapping[str, str]:
    """The keys of a section of a file named `origin`, each of which must be `known`, with their
    values; `manual` lists them. Raises SettingsError."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text, origin)
    except configparser.Error as error:
        raise SettingsError(f"cannot read {origin}: {_blame(error, text, section)}") from error
    keys = dict(parser[section]) if parser.has_section(section) else {}
    for name in keys:
        if name not in known:
            similar = get_close_matches(name, known, n=1)
            cure = f"did you mean {similar[0]}?" if similar else f"{manual} lists the keys"
            where = f"{origin}: line {line_of(name, text, section)}"
            raise SettingsError(f"cannot read {where}: there is no key {name!r}; {cure}")
    return keys


def line_of(name: str, text: str, section: str) -> int:
    """The line of a key of that section, from 1 on."""
    is_ours = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("["):
            is_ours = line.startswith(f"[{section}]")
        elif is_ours and re.split("[=:]", line)[0].strip().lower() == name:
            return number
    return 0


def _blame(error: configparser.Error, text: str, section: str) -> str:
    """What is wrong in `text`, in words that say what to do."""
    match error:
        case configparser.DuplicateOptionError():
            return f"line {error.lineno}: {error.option} is set a second time; keep one of the two"
        case configparser.DuplicateSectionError():
            number, twice = error.lineno, error.section
            return f"line {number}: [{twice}] begins a second time; put its keys together"
        case configparser.MissingSectionHeaderError():
            number = error.lineno
            cure = f"stands before any section; put a line [{section}] above it"
        case configparser.ParsingError():
            number = error.errors[0][0]
            cure = "is no setting; write key = value"
        case _:
            return str(error)
    # configparser, too, takes nothing else for the end of a line.
    line = text.split("\n")[number - 1].strip()
    return f"line {number}: {line!r} {cure}"
