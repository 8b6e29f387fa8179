"""The file that keeps the last good version of each ini over a stop of the daemon and a reboot.

It is in the folder for what outlasts the daemon (linux/state_dir), which only root can
write, and only root can read it: an ini may hold a password.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from emperor.linux.kept_file import read_kept, replace_kept
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
            kept = msgspec.msgpack.decode(read_kept(self._path, _READ_BYTES), type=list[GoodIni])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("cannot read %s: %s; the inis are served as they are", self._path, error)
            return {}
        return {ini.file: ini for ini in kept}

    def write(self, inis: Iterable[GoodIni]) -> None:
        """Replace the file. What cannot be kept is logged."""
        data = msgspec.msgpack.encode(that_fit(inis, _MOST_BYTES))
        try:
            replace_kept(self._path, data, _MODE)
        except OSError as error:
            log.warning("cannot keep the good versions of inis: %s", error)
