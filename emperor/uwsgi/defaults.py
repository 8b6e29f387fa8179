"""The file of defaults that uWSGI reads before each ini, as the Emperor's vassals-include-before.

An option of the ini wins over the same one here, and options that may stand several times add up.
The file is root's, since it is part of every ini. uWSGI reads a copy, as the user of each app.
"""

import hashlib
import logging
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from emperor.linux.trust import others_may_write, who_may_turn
from emperor.model.definition import LONGEST_DEFINITION, BrokenIni
from emperor.model.section import SettingsError
from emperor.model.spec import Spec
from emperor.uwsgi.ini import LOADERS, SOCKETS, Before, Ini, Option, lines_of, parse, text_of
from emperor.uwsgi.loaded import who_else
from emperor.uwsgi.options import uwsgi_options

log = logging.getLogger("emperord.defaults")

_DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Defaults:
    """One version of the file: its options, which all have line 0, and how it is told from the
    next version."""

    ini: Ini
    file: Before

    def before(self, ini: Ini) -> Ini:
        """`ini` with these options before its own."""
        return replace(
            ini,
            options=self.ini.options + ini.options,
            needs_uwsgi=ini.needs_uwsgi or self.ini.needs_uwsgi,
            quotes_socket=ini.quotes_socket or self.ini.quotes_socket,
            before=self.file,
        )


def read_defaults(path: Path) -> Defaults:
    """Read the file. Raises OSError, and BrokenIni for what it cannot be."""
    data = _bytes_of_roots(path)
    ini = _parsed(data, path.name, os.path.realpath(path.parent))
    for option in ini.options:
        if option.key in SOCKETS:
            cause = f"{option.key} = {option.value} would be the socket of every vassal"
            raise option.broken(cause, "drop it: emperord makes a socket for each of them")
        if where := _others_file(option):
            cause = f"others than root can change {where}, which it includes"
            raise option.broken(cause, "have root own it, and nobody else write there")
    if ini.emperor:
        raise ini.emperor[0].broken("it has a section [emperor]", "write that to emperord.ini")
    digest = hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
    options = tuple(Option(option.key, option.value, 0) for option in ini.options)
    reason = ini.needs_uwsgi and structs.replace(ini.needs_uwsgi, line=0)
    return Defaults(
        replace(ini, options=options, needs_uwsgi=reason), Before(str(path), digest, data)
    )


def _bytes_of_roots(path: Path) -> bytes:
    """Raises OSError, and BrokenIni where others can change the file."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise BrokenIni("it is not a file")
        if where := who_may_turn(os.path.abspath(path), os.geteuid()):
            raise BrokenIni(f"others may change {where}, which leads to it", "move it")
        if info.st_uid not in (0, os.geteuid()) or others_may_write(info, fd):
            raise BrokenIni("others than root may write to it", "chown root and chmod go-w it")
        if os.geteuid() == 0 and not info.st_mode & stat.S_IROTH:
            raise BrokenIni("the users of the apps cannot read it", "chmod o+r it")
        return file.read(LONGEST_DEFINITION + 1)


def _others_file(option: Option) -> str | None:
    """A file that the defaults include by its path, or a folder on the way there, that others can
    change: it would be part of every ini. Relative paths begin in the folder of inis."""
    name = option.value.partition(":")[0]
    if option.key in LOADERS and name.startswith("/"):
        with suppress(OSError, ValueError):
            return who_else(name, os.geteuid())
    return None


def _parsed(data: bytes, name: str, folder: str) -> Ini:
    """The parsed file. Other than the ini of an app it may hold nothing: an administrator comments
    all out."""
    text = text_of(data, name, folder)
    if all(line == "[uwsgi]" for _, line in lines_of(text)):
        return Ini(name, (), (), text=text)
    return parse(data, name, folder)


class DefaultsFile:
    """The file at `path` and the version of it that is in effect; None: there is no such file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._current: Defaults | None = None
        self._problem = ""

    @property
    def file(self) -> Before | None:
        """The version that is in effect; None where there is no file."""
        return self._current.file if self._current else None

    def load(self) -> "DefaultsFile":
        """Read the file for the first time. Raises SettingsError."""
        if self._path is not None:
            try:
                self._current = read_defaults(self._path)
            except (OSError, BrokenIni) as error:
                cause = error.strerror if isinstance(error, OSError) else error
                raise SettingsError(
                    f"cannot use vassal-defaults = {self._path}: {cause}"
                ) from error
        return self

    def before(self, ini: Ini) -> Ini:
        """`ini` as uWSGI reads it after the file."""
        return self._current.before(ini) if self._current else ini

    def reload(self) -> bool:
        """Read the file again. Returns whether there is a new version. One that cannot be used
        changes nothing, and is logged."""
        assert self._path is not None
        previous, problem = self._current, ""
        try:
            self._current = read_defaults(self._path)
        except FileNotFoundError:
            self._current = None
            problem = "it is gone, and apps start without it"
        except OSError as error:
            problem = f"{error.strerror}; the previous version stays in effect for reading inis"
        except BrokenIni as error:
            problem = f"{error}; the previous version stays in effect for reading inis"
        if problem not in ("", self._problem):
            log.error("cannot use vassal-defaults = %s: %s", self._path, problem)
        self._problem = problem
        return previous != self._current

    def are_those_of(self, specs: Iterable[Spec]) -> bool:
        """Whether all of these were read with the version that is in effect."""
        digest = self.file.digest if self.file else ""
        return all(uwsgi_options(spec).defaults == digest for spec in specs)
