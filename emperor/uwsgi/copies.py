"""Copies of inis: what was read and judged is what uWSGI reads.

uWSGI opens its ini by name, at its start and again when it reloads itself. Between the moment when
emperord has read an ini and that one somebody could put another file in its place. So uWSGI gets a
copy of the bytes that were judged, and one of the file of defaults. A successor that takes over
sockets gets their descriptors in the place of their addresses.

A copy is in a folder that only root can write, and only the user of the vassal can read it, unless
everybody can read the file. The copy belongs to root: an app could let the file of its own user
grow until run-dir is full, which is in memory and part of /run. It lives as long as the process.
"""

import errno
import os
import shutil
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emperor.linux.access import let_read
from emperor.model.ports import CannotLaunch
from emperor.model.settings import Settings
from emperor.model.spec import Identity
from emperor.uwsgi.ini import Before
from emperor.uwsgi.magic import frozen

FOLDER_MODE = 0o711
_FILE_MODE, _PUBLIC_MODE = 0o400, 0o444
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# No ini has that name, since no host name begins with a dot.
_DEFAULTS = ".defaults.ini"


@dataclass(frozen=True, slots=True)
class Copy:
    """The paths of what uWSGI reads in the place of an ini, and in that of the file of defaults,
    which is empty where there is none."""

    ini: str
    defaults: str = ""

    @property
    def folder(self) -> str:
        """The folder that has nothing but this copy."""
        return os.path.dirname(self.ini)


def copies_of(settings: Settings) -> "IniCopies":
    """The copies for the processes of a daemon with these settings."""
    return IniCopies(settings.vassals_dir, settings.run_dir / "inis")


class IniCopies:
    """The copies of inis of the folder `vassals`, in the folder `place`, which is made."""

    def __init__(self, vassals: Path, place: Path) -> None:
        self._vassals = str(vassals)
        self._place = str(place)

    def make(
        self, name: str, data: bytes, before: Before | None, key: str, reader: Identity | None
    ) -> Copy:
        """A new copy of the ini `name` with these bytes, and of the file `before` it. `key` tells
        the copies of one ini apart. `reader` reads them, None for the user of this process. Raises
        CannotLaunch."""
        folder = os.path.join(self._place, key)
        # The name stays: %N of an included file refers to it.
        path = os.path.join(folder, name)
        original = os.path.join(os.path.realpath(self._vassals), name)
        try:
            self._make_folder(folder)
            fd = _created(path)
            with os.fdopen(fd, "wb") as file:
                if reader is not None:
                    _hand_over(fd, reader)
                elif _all_may_read(original):
                    # uWSGI may change its user, and reads the file again when it is reloaded.
                    os.fchmod(fd, _PUBLIC_MODE)
                file.write(frozen(data, original))
            if before is None:
                return Copy(path)
            defaults = os.path.join(folder, _DEFAULTS)
            with os.fdopen(fd := _created(defaults), "wb") as file:
                os.fchmod(fd, _PUBLIC_MODE)
                file.write(frozen(before.data, os.path.realpath(before.path), original))
        except OSError as error:
            remove_copy(path)
            cure = f"; make room in {self._place}" if error.errno == errno.ENOSPC else ""
            raise CannotLaunch(f"cannot copy {name} to {path}: {error.strerror}{cure}") from error
        return Copy(path, defaults)

    def _make_folder(self, folder: str) -> None:
        try:
            os.mkdir(folder)
        except FileNotFoundError:
            os.mkdir(self._place)
            os.chmod(self._place, FOLDER_MODE)
            os.mkdir(folder)
        except FileExistsError:
            return
        os.chmod(folder, FOLDER_MODE)

    def sweep(self, in_use: Collection[str]) -> None:
        """Remove the copies of an earlier daemon but these."""
        kept = {os.path.dirname(path) for path in in_use}
        with suppress(FileNotFoundError):
            for folder in os.scandir(self._place):
                if folder.path not in kept:
                    shutil.rmtree(folder.path, ignore_errors=True)
        with suppress(OSError):
            os.rmdir(self._place)


def _created(path: str) -> int:
    """Raises OSError."""
    try:
        return os.open(path, _FLAGS, _FILE_MODE)
    except FileExistsError:
        os.unlink(path)
        return os.open(path, _FLAGS, _FILE_MODE)


def _all_may_read(path: str) -> bool:
    """Raises OSError unless there is no such file."""
    with suppress(FileNotFoundError):
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    return False


def _hand_over(fd: int, reader: Identity) -> None:
    """Raises OSError."""
    try:
        let_read(fd, reader.uid)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        # A file system without access lists.
        os.fchown(fd, reader.uid, reader.gid)


def remove_copy(path: str) -> None:
    """Remove the copy whose ini is at `path`, and its folders, if they are empty. Harmless for an
    empty path."""
    if path:
        folder = os.path.dirname(path)
        for file in (path, os.path.join(folder, _DEFAULTS)):
            with suppress(OSError):
                os.unlink(file)
        for empty in (folder, os.path.dirname(folder)):
            with suppress(OSError):
                os.rmdir(empty)
