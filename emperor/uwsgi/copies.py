"""Copies of inis whose file has changed to something that is not in service.

uWSGI reads the ini itself at each start. Where the file holds another version than the one that
emperord serves (a broken one, or one that is written at this moment), uWSGI gets a copy of the
version in service. A successor that takes over sockets gets one too, with their descriptors in the
place of their addresses. A copy is in a folder of run-dir that only root can write, and only the
user of the vassal can read it, unless everybody can read the file. The copy belongs to root: an app
could let the file of its own user grow until run-dir is full, which is in memory and part of /run.
It lives as long as the process, which reads it again at a reload.
"""

import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from emperor.linux.access import let_read
from emperor.linux.stamps import has_stamp
from emperor.model.ports import CannotLaunch, KeptText
from emperor.model.spec import Identity, Spec
from emperor.uwsgi.ini import frozen, with_values

_FOLDER_MODE = 0o711
_FILE_MODE, _PUBLIC_MODE = 0o400, 0o444
NO_VALUES: Mapping[int, str] = {}
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class IniCopies:
    """The copies of inis of the folder `vassals`, below `run_dir`."""

    def __init__(self, vassals: Path, run_dir: Path) -> None:
        self._vassals = str(vassals)
        self._folder = str(run_dir / "inis")

    def make_if_changed(
        self,
        spec: Spec,
        kept: KeptText | None,
        key: str,
        values: Mapping[int, str] = NO_VALUES,
    ) -> str:
        """The path of a new copy, empty where the file itself is in service. `key` tells the copies
        of one vassal apart, and `values` are other values for some lines. Raises CannotLaunch."""
        original = os.path.join(self._vassals, spec.ini)
        if kept is None or (not values and has_stamp(original, kept.stamp)):
            return ""
        text = with_values(kept.text, values)
        text = frozen(text, spec.ini, os.path.realpath(self._vassals))
        # The name stays: %N of an included file refers to it.
        path = os.path.join(self._folder, key, spec.ini)
        try:
            for folder in (self._folder, os.path.dirname(path)):
                with suppress(FileExistsError):
                    os.mkdir(folder)
                os.chmod(folder, _FOLDER_MODE)
            with suppress(FileNotFoundError):
                os.unlink(path)
            fd = os.open(path, _FLAGS, _FILE_MODE)
            with os.fdopen(fd, "wb") as file:
                if spec.identity is not None:
                    _hand_over(fd, spec.identity)
                elif _all_may_read(original):
                    # uWSGI may change its user, and reads the file again when it is reloaded.
                    os.fchmod(fd, _PUBLIC_MODE)
                file.write(text)
        except OSError as error:
            raise CannotLaunch(
                f"cannot copy the last good version of {spec.ini} to {path}: {error.strerror}"
            ) from error
        return path


def _all_may_read(path: str) -> bool:
    """Raises OSError unless there is no such file."""
    with suppress(FileNotFoundError):
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    return False


def _hand_over(fd: int, identity: Identity) -> None:
    """Raises OSError."""
    try:
        let_read(fd, identity.uid)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        # A file system without access lists.
        os.fchown(fd, identity.uid, identity.gid)


def remove_copy(path: str) -> None:
    """Remove a copy and its folders, if they are empty. Harmless for an empty path."""
    if path:
        folder = os.path.dirname(path)
        with suppress(OSError):
            os.unlink(path)
        for empty in (folder, os.path.dirname(folder)):
            with suppress(OSError):
                os.rmdir(empty)
