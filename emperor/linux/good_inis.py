"""The file that keeps the last good version of each ini over a stop of the daemon and a reboot.

It is in the folder for what outlasts the daemon (linux/maintenance_note), which only root can
write, and only root can read it: an ini may hold a password.
"""

import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from emperor.model.good_ini import GoodIni, that_fit

log = logging.getLogger("emperord.good_inis")

# 10,000 inis of the usual length have 5 MB.
_MOST_BYTES = 1 << 24
_READ_BYTES = 2 * _MOST_BYTES
_MODE = 0o600


class GoodInisFile:
    """The file `good-inis` of a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "good-inis"

    def read(self) -> dict[str, GoodIni]:
        """The versions by the names of their files; none where that cannot be read."""
        try:
            kept = msgspec.msgpack.decode(_read(self._path), type=list[GoodIni])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("cannot read %s: %s; the inis are served as they are", self._path, error)
            return {}
        return {ini.file: ini for ini in kept}

    def write(self, inis: Iterable[GoodIni]) -> None:
        """Replace the file. What cannot be kept is logged."""
        draft = self._path.with_name("good-inis.new")
        data = msgspec.msgpack.encode(that_fit(inis, _MOST_BYTES))
        try:
            draft.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(draft, flags, _MODE), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            log.warning("cannot keep the good versions of inis: %s", error)


def _read(path: Path) -> bytes:
    """Raises OSError, and ValueError if no daemon wrote the file."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
            raise ValueError("it is not a file of the daemon's user")
        return file.read(_READ_BYTES)
