"""Reads an ini as uWSGI's core/ini.c does, without uWSGI where that is possible.

An option may bring in others (`include`), stand in a block (`if-env`) or take its value from
elsewhere (`$(HOME)`). Where that may change an option that the daemon needs, `Ini.needs_uwsgi`
names it, and uWSGI has to resolve the ini.
"""

import codecs
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from msgspec import Struct

from emperor.model.definition import LONGEST_DEFINITION, BrokenIni
from emperor.uwsgi.magic import JOINT, replace_magic
from emperor.uwsgi.options import PROTOCOLS

SOCKETS = frozenset(PROTOCOLS)
LOADERS = frozenset({
    "ini", "include", "inherit", "config", "xml", "xmlconfig", "yaml", "yml", "json", "js",
    "ini-paste", "ini-paste-logged",
})  # fmt: skip
BLOCKS = frozenset({
    "for", "for-glob", "for-times", "for-readline", "ifdir", "ifenv", "ifexists", "ifplugin",
})  # fmt: skip

SHARED_SOCKETS = frozenset({"shared-socket", "undeferred-shared-socket"})
STATS = frozenset({"stats", "stats-server"})
# Options with which an ini loads plugins by their names.
PLUGIN_KEYS = frozenset({"plugin", "plugins", "need-plugin", "need-plugins"})
# All of these name the home of Python.
HOMES = frozenset({"home", "virtualenv", "venv", "pyhome"})
PROTOCOL_KEYS = frozenset({"protocol", "socket-protocol"})
WORKERS = frozenset({"processes", "workers"})
# uWSGI puts the number of cores there, so it need not be asked.
ONE_PER_CORE = "%k"

# The daemon refuses an ini with 0 of these. It need not know them where a command computes them.
NUMBERS = WORKERS | {"gevent", "async", "limit-nproc"}
_USERS = frozenset({"uid", "gid", "immediate-uid", "immediate-gid"})
# The daemon uses the values of these. Of all other options it only uses the names.
_VALUES = SOCKETS | SHARED_SOCKETS | PROTOCOL_KEYS | NUMBERS | {"idle", "listen", "loop"} | _USERS
# And the values of these where a socket is relative to them.
_FOLDERS = frozenset({"chdir", "chroot"})
_RESOLVED_KEYS = LOADERS | BLOCKS | {"set"}
_BLANKS = " \t\r"
_ATOI = re.compile(r"\s*([+-]?\d{1,18})", re.ASCII)
_QUOTES_SOCKET = re.compile(rf"%\((?:{'|'.join(sorted(SOCKETS))})[ )]")
# What only uWSGI may know, in a value whose %x are replaced as far as we know them.
_MAY_REFER = re.compile(r"%|\$\(|@\(")
# The section of uWSGI, or ours, with a comment behind it or without the bracket at its end.
_NEARLY = re.compile(r"\[(uwsgi|\s*emperor\s*)(?:\]|$)")


# uWSGI gives a declared option the words of its value as $1, $2 and so on.
_MOST_WORDS = 9

# uWSGI puts something else in the place of these, and reads what a URL of these schemes names
# (uwsgi_setup_schemes of core/io.c).
PLACEHOLDERS = ("%(", "$(", "@(")
_PLACEHOLDER = re.compile("|".join(map(re.escape, PLACEHOLDERS)))
SCHEMES = frozenset({
    "emperor", "http", "data", "sym", "section", "fd", "exec", "call", "callint",
})  # fmt: skip
URLS = tuple(f"{scheme}://" for scheme in sorted(SCHEMES))
_OFF = frozenset({"false", "off", "no", "0"})


@lru_cache(maxsize=256)
def leading_number(text: str) -> int:
    """The number as uWSGI's atoi(3) reads it: leading digits, else 0. Thousands of inis say the
    same, which is then one object."""
    match = _ATOI.match(text)
    return int(match[1]) if match else 0


def of_emperor(key: str) -> str:
    """The name of a key of [emperor] among the keys of all options, which begin with no bracket."""
    return f"[emperor] {key}"


def refers(value: str) -> bool:
    """Whether only uWSGI can tell what a value stands for."""
    return value.startswith(URLS) or _PLACEHOLDER.search(value) is not None


def is_off(value: str) -> bool:
    """Whether uWSGI takes the value of a switch as false. Every other word is true."""
    return value.lower() in _OFF


class Option(Struct, frozen=True):
    """One `key = value`. `line` counts from 1, and is 0 for an option from another file.

    There are many, and a Struct is made in a sixth of the time of a dataclass."""

    key: str
    value: str
    line: int

    def broken(self, cause: str, cure: str) -> BrokenIni:
        """The error for the line of this option."""
        return BrokenIni(cause, cure, self.line)


@dataclass(frozen=True, slots=True)
class Before:
    """A file that uWSGI reads before an ini, with the bytes of one version. `digest` tells the
    versions apart."""

    path: str
    digest: str
    data: bytes = b""


@dataclass(frozen=True)
class Ini:
    """A parsed ini. `options` are those of [uwsgi] and `emperor` those of [emperor], in their
    order.

    Before uWSGI has resolved them, the options contain `$(ENV)`, `@(file)` and `%(option)` as
    written, and `needs_uwsgi` is the first option for which uWSGI must do so. `quotes_socket`: a
    value refers to that of a socket option (`%(socket)`). `text` is what `lines_of` takes.
    The options of the file `before` stand before those of the ini, with line 0. `data` are the
    bytes of the ini. `is_resolved`: uWSGI has resolved the options, and what still looks like a
    variable stands for itself.
    """

    name: str
    options: tuple[Option, ...]
    emperor: tuple[Option, ...]
    needs_uwsgi: Option | None = None
    quotes_socket: bool = False
    text: str = ""
    before: Before | None = None
    data: bytes = b""
    is_resolved: bool = False

    @cached_property
    def last(self) -> Mapping[str, Option]:
        """The last option of each key. It is the one that counts of a key that uWSGI keeps once."""
        return {option.key: option for option in self.options}

    @cached_property
    def _attributes(self) -> Mapping[str, Option]:
        return {option.key: option for option in self.emperor}

    def attribute(self, key: str) -> Option | None:
        """The last option `key` of [emperor], which is the one that counts."""
        return self._attributes.get(key) if self.emperor else None

    @property
    def names(self) -> Collection[str]:
        """The keys of all options. Those of [emperor] are as `of_emperor` has them."""
        return {*self.last, *map(of_emperor, self._attributes)} if self.emperor else self.last

    def last_of(self, keys: Collection[str]) -> Option | None:
        """The last option that has one of these keys."""
        if self.last.keys().isdisjoint(keys):
            return None
        return next(option for option in reversed(self.options) if option.key in keys)


def parse(data: bytes, name: str, folder: str) -> Ini:
    """Parse the ini with the base name `name`. `folder` is its folder, without symbolic links.

    Raises BrokenIni.
    """
    if not data:
        # An editor that writes a file in place first empties it.
        raise BrokenIni(
            "the file is empty", "write it again; if its disk or a quota is full, free space first"
        )
    text = text_of(data, name, folder)
    options, emperor = _sections(text)
    if not options:
        raise BrokenIni(
            "there is no section [uwsgi], or nothing in it",
            "put the options below a line [uwsgi], in a file without a byte order mark",
        )
    quotes = "%(" in text and any(_QUOTES_SOCKET.search(option.value) for option in options)
    reason = _first_for_uwsgi(options)
    return Ini(name, tuple(options), tuple(emperor), reason, quotes, text, data=data)


def text_of(data: bytes, name: str, folder: str) -> str:
    """The text of an ini, for `lines_of`. Its `%x` variables are replaced as far as their values
    are known before uWSGI runs.

    A byte that is not UTF-8, as in an old comment, becomes a replacement character; uWSGI takes any
    byte. Raises BrokenIni for data that is too long or binary.
    """
    if len(data) > LONGEST_DEFINITION:
        raise BrokenIni("it has more than 64 KiB", "put an ini there")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BrokenIni("it is UTF-16 text, which uWSGI cannot read", "save it as UTF-8", 1)
    text = data.decode(errors="replace")
    nul = text.find("\0")
    if nul >= 0:
        line = text.count("\n", 0, nul) + 1
        raise BrokenIni("it has a NUL byte", "put an ini there, not a binary", line)
    return replace_magic(data, name, folder) if "%" in text else text


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """The lines that uWSGI sees in a text of `text_of`: the number in the file, and the stripped
    line. Empty lines and comments are left out."""
    following = 1
    for raw in text.split("\n"):
        number = following
        following += 1
        line = raw.strip(_BLANKS)
        if JOINT in line:
            following += line.count(JOINT)
            line = line.replace(JOINT, "").strip(_BLANKS)
        if line and line[0] not in ";#":
            yield number, line


def _sections(text: str) -> tuple[list[Option], list[Option]]:
    options: list[Option] = []
    emperor: list[Option] = []
    sections = {"uwsgi": options, "emperor": emperor}
    section: list[Option] | None = None
    for number, line in lines_of(text):
        if line[0] == "[":
            # uWSGI drops the last letter, whatever that is.
            name = line[1:-1]
            section = sections.get(name)
            if section is None and (meant := _NEARLY.match(line)):
                cure = f"write [{meant[1].strip()}] alone on its line"
                raise BrokenIni(f"uWSGI takes {line!r} for the section {name!r}", cure, number)
            if "]" not in line:
                # A copy that was cut short may end like this.
                raise BrokenIni(f"the section {line!r} does not end in ]", "complete it", number)
        elif section is not None:
            key, _, value = line.partition("=")
            section.append(Option(key.rstrip(_BLANKS), value.lstrip(_BLANKS), number))
    return options, emperor


def aliases_in(data: bytes, name: str, folder: str) -> list[str]:
    """The aliases in an ini that may be broken: cut short, filled with zeros, or of bad sections.
    As in `parse`, the last line of [emperor] counts."""
    try:
        text = text_of(data.replace(b"\0", b""), name, folder)
    except BrokenIni:  # it is no text
        return []
    named, section = "", ""
    for _, line in lines_of(text):
        if line[0] == "[":
            section = line.strip("[] \t").lower()
        elif section == "emperor" and line.partition("=")[0].rstrip(_BLANKS) == "aliases":
            named = line.partition("=")[2]
    return split_names(named)


def split_names(text: str) -> list[str]:
    """The names in a list with blanks or commas, each once."""
    return list(dict.fromkeys(text.replace(",", " ").split()))


def _first_for_uwsgi(options: list[Option]) -> Option | None:
    values: frozenset[str] | None = None
    for option in options:
        key, value = option.key, option.value
        if key in _RESOLVED_KEYS or key[:3] == "if-":
            return option
        if _MAY_REFER.search(value) is None:
            continue
        if values is None:
            values = _VALUES | _FOLDERS if any(map(_is_relative_socket, options)) else _VALUES
        if key in WORKERS:
            value = value.removeprefix(ONE_PER_CORE)
        if key in NUMBERS and is_computed(option):
            continue
        if key in values and _MAY_REFER.search(value):
            return option
    return None


def is_computed(option: Option) -> bool:
    """Whether the value is what a command prints or a server answers, as in `@(exec://nproc)`."""
    return "@(" in option.value and "://" in option.value


def with_declared(ini: Ini) -> Iterator[Option]:
    """The options, and behind each option that `declare-option` has declared as
    `name=key=$1;key=$2` those that it stands for (uwsgi_opt_custom of core/config.c). Raises
    BrokenIni where these are longer than an ini can be: 4 KB could stand for more than the memory
    of the machine."""
    templates: dict[str, str] = {}
    left = LONGEST_DEFINITION
    for option in ini.options:
        yield option
        if option.key == "declare-option":
            name, _, template = option.value.partition("=")
            templates[name] = template
        elif template := templates.get(option.key, ""):
            expanded = _expanded(option, template, left)
            left -= max(len(template), len(expanded))
            for part in expanded.split(";"):
                key, _, value = part.partition("=")
                yield Option(key, value, option.line)


def _expanded(option: Option, template: str, most: int) -> str:
    """What a declared option stands for. Raises BrokenIni for more than `most` characters."""
    text = template
    for number, word in enumerate(option.value.split(" ")[:_MOST_WORDS], 1):
        place = f"${number}"
        length = len(text) + text.count(place) * (len(word) - len(place))
        if max(len(text), length) > most:
            raise option.broken(
                f"the declared option {option.key} makes the ini longer than 64 KiB",
                "write out what it stands for",
            )
        text = text.replace(place, word)
    return text


def _is_relative_socket(option: Option) -> bool:
    """Whether it depends on the folder that uWSGI enters which socket this option names."""
    return option.key in SOCKETS and option.value[:1] not in "/@=" and ":" not in option.value


def is_written(option: Option, text: str) -> bool:
    """Whether the line of that option, in a text of `text_of`, says just this, so `with_values` can
    replace the value. It does not where lines are joined, nor for an option of another file."""
    if JOINT in text:
        return False
    line = next((line for number, line in lines_of(text) if number == option.line), "")
    key, _, value = line.partition("=")
    return (key.rstrip(_BLANKS), value.lstrip(_BLANKS)) == (option.key, option.value)


def with_values(data: bytes, values: Mapping[int, str]) -> bytes:
    """The ini with other values in these lines, for each of which `is_written` holds."""
    lines = data.split(b"\n")
    for number, value in values.items():
        key, _, _ = lines[number - 1].partition(b"=")
        lines[number - 1] = b"%s= %s" % (key, value.encode())
    return b"\n".join(lines)
