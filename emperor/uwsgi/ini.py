"""Reads an ini as uWSGI's core/ini.c does, for the many that need nothing cleverer.

An option may bring in others (`include`), stand in a block (`if-env`) or take its value from
elsewhere (`$(HOME)`). Where that changes an option that the daemon needs, `Ini.needs_uwsgi` says
so and uWSGI resolves the ini. Everything else leaves these options as they are written.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from emperor.model.definition import LONGEST_DEFINITION, BrokenIni
from emperor.uwsgi.options import PROTOCOLS

SOCKETS = frozenset(PROTOCOLS)
LOADERS = frozenset({
    "ini", "include", "inherit", "config", "xml", "xmlconfig", "yaml", "yml", "json", "js",
    "ini-paste", "ini-paste-logged",
})  # fmt: skip
BLOCKS = frozenset({
    "for", "for-glob", "for-times", "for-readline", "ifdir", "ifenv", "ifexists", "ifplugin",
})  # fmt: skip

# Only of these does the daemon use the value; of all others, whether they are there.
_VALUES = SOCKETS | {"idle", "listen", "loop"}
_RESOLVED_KEYS = LOADERS | BLOCKS | {"set"}
# Host, time, version, cores, user, group, binary, inode: what the running uWSGI alone knows.
_KNOWN_TO_UWSGI = b"htTVkuUgGbiIjJ"
_BLANKS = " \t\r"
_MAGIC = re.compile(rb"%(.?)", re.DOTALL)
_QUOTES_SOCKET = re.compile(rf"%\((?:{'|'.join(sorted(SOCKETS))})[ )]")
# Stands where a `%` at its end joined a line to the next, until the lines are counted.
_JOINT = "\0"


@dataclass(frozen=True, slots=True)
class Option:
    """One `key = value`. `line` counts from 1, and is 0 for what came from another file."""

    key: str
    value: str
    line: int

    def broken(self, cause: str, cure: str) -> BrokenIni:
        """The error for the line of this option."""
        return BrokenIni(cause, cure, self.line)


@dataclass(frozen=True, slots=True)
class Ini:
    """The options of [uwsgi] and of [emperor] in their order, the former before `$(ENV)`, `@(file)`
    and `%(option)` are replaced. `needs_uwsgi` is why uWSGI must resolve them.
    `quotes_socket` tells that a value refers to a socket's (`%(socket)`).
    """

    name: str
    options: tuple[Option, ...]
    emperor: tuple[Option, ...]
    needs_uwsgi: Option | None = None
    quotes_socket: bool = False

    def attribute(self, key: str) -> Option | None:
        """The last word of [emperor] on `key`."""
        return next((option for option in reversed(self.emperor) if option.key == key), None)


def parse(data: bytes, name: str, folder: str) -> Ini:
    """The ini `name` (a base name) in `folder` (its real path, which uWSGI is started in).

    Raises BrokenIni.
    """
    text = text_of(data, name, folder)
    options, emperor = _sections(text)
    if not options:
        raise BrokenIni(
            "there is no section [uwsgi], or nothing in it",
            "put the options below a line [uwsgi], in a file without a byte order mark",
        )
    quotes = "%(" in text and any(_QUOTES_SOCKET.search(option.value) for option in options)
    return Ini(name, tuple(options), tuple(emperor), _first_for_uwsgi(options), quotes)


def text_of(data: bytes, name: str, folder: str) -> str:
    """The text of an ini with its `%x` magic replaced, as far as it is known before uWSGI runs; it
    is meant for `lines_of`.

    Raises BrokenIni for what is too long to be an ini, binary, or not UTF-8.
    """
    if len(data) > LONGEST_DEFINITION:
        raise BrokenIni("it has more than 64 KiB", "put an ini there")
    try:
        text = data.decode()
        wrong = text.find("\0")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BrokenIni("it is not UTF-8 text", "save it as such", line) from error
    if wrong >= 0:
        line = text.count("\n", 0, wrong) + 1
        raise BrokenIni("it has a NUL byte", "put an ini there, not a binary", line)
    return _replace_magic(data, name, folder) if "%" in text else text


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """What uWSGI takes for lines in such a text: the number of each in the file, and it stripped.
    Empty lines and comments are left out."""
    following = 1
    for raw in text.split("\n"):
        number = following
        following += 1
        line = raw.strip(_BLANKS)
        if _JOINT in line:
            following += line.count(_JOINT)
            line = line.replace(_JOINT, "").strip(_BLANKS)
        if line and line[0] not in ";#":
            yield number, line


def _sections(text: str) -> tuple[list[Option], list[Option]]:
    options: list[Option] = []
    emperor: list[Option] = []
    wanted = {"[uwsgi]": options, "[emperor]": emperor}
    section: list[Option] | None = None
    for number, line in lines_of(text):
        if line[0] == "[":
            if line[-1] != "]":
                raise BrokenIni(
                    f"the section {line!r} does not end in ]",
                    "complete it, and put comments on lines of their own",
                    number,
                )
            section = wanted.get(line)
        elif section is not None:
            key, _, value = line.partition("=")
            section.append(Option(key.rstrip(_BLANKS), value.lstrip(_BLANKS), number))
    return options, emperor


def _first_for_uwsgi(options: list[Option]) -> Option | None:
    for option in options:
        key, value = option.key, option.value
        if key in _RESOLVED_KEYS or key[:3] == "if-":
            return option
        if key in _VALUES and ("%" in value or "$(" in value or "@(" in value):
            return option
    return None


def _replace_magic(data: bytes, name: str, folder: str) -> str:
    """What core/utils.c's magic_sub makes of it: `%` and any byte become something or vanish."""
    table = _magic_table(os.fsencode(name), os.fsencode(folder))
    replaced = _MAGIC.sub(lambda match: table.get(match[1], b""), data)
    return replaced.decode(errors="replace")


def _magic_table(name: bytes, folder: bytes) -> dict[bytes, bytes]:
    """core/uwsgi.c's config_magic_table_fill. Capitals name the first file, which this one is."""
    stem, dot, suffix = name.rpartition(b".")
    parts = [part for part in folder.split(b"/") if part]
    of_file = {
        b"o": name,
        b"p": folder + b"/" + name,
        b"s": name,
        b"d": folder + b"/",
        b"c": parts[-1] if parts else b"",
        b"e": suffix if dot else b"",
        b"n": stem if dot else name,
    }
    only_uwsgi_knows = {b"%c" % letter: b"%%%c" % letter for letter in _KNOWN_TO_UWSGI}
    return {
        **only_uwsgi_knows,
        **of_file,
        **{letter.upper(): value for letter, value in of_file.items()},
        **{b"%d" % index: part for index, part in enumerate(parts[:10])},
        b"v": folder,
        b"%": b"%",
        b"(": b"%(",
        b"[": b"\033",
        b"\n": _JOINT.encode(),
    }
