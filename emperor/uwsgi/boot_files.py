"""Remembers which files a boot of an app reads, and has them read ahead at the next one.

After a while the kernel has dropped the files of an app that sleeps. A boot then waits for the disk
at each module, one after the other. The first worker tells the files (before_app.py), once a day,
when it has answered a request. It writes into a piece of memory that it shares with the daemon, and
that cannot grow. What it writes is the app's word, so it is read with the rights of the app's user
alone. (linux/read_ahead)
"""

import fcntl
import os
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from emperor.linux.read_ahead import ReadAhead
from emperor.linux.state_dir import named_state_dir
from emperor.model.settings import Settings
from emperor.model.spec import Spec

# Tells the Python of an app where to write the names of its files.
VARIABLE = "EMPERORD_FILES_FD"
_MOST_BYTES = 256 << 10
_MOST_FILES = 5000
# Of files and of modules. They are several hundred, and some thousand for a large app.
_MOST_LINES = 10_000
_FRESH_SECONDS = 86_400.0
_LONGEST_UNUSED_SECONDS = 90 * 86_400.0
_FOLDER = "read-ahead"
# No domain begins with a dot.
_DRAFT = ".draft"


class BootFiles:
    """The lists of files, one for each app, in `folder`; nothing is done without one. They name the
    modules, too, which a base may import ahead. Each belongs to the user whose app has written it,
    and is for no other user: a domain may go from one tenant to another."""

    def __init__(self, folder: Path | None, why_off: str = "") -> None:
        self._folder = folder
        # Why nothing is done; empty where there is a folder.
        self.why_off = why_off
        # What each app that starts writes to, and its user.
        self._asked: dict[str, tuple[int, int]] = {}
        self._ahead = ReadAhead()
        if folder is not None:
            with suppress(OSError):
                folder.mkdir(mode=0o700, exist_ok=True)
                _sweep(folder)

    @classmethod
    def of(cls, settings: Settings, environment: Mapping[str, str]) -> "BootFiles":
        """The lists in the folder that systemd keeps for the daemon over a boot of the machine. The
        run-dir is in memory, and needed for more."""
        state = named_state_dir(environment)
        if not settings.read_ahead:
            return cls(None, "read-ahead = false")
        return cls(state / _FOLDER) if state else cls(None, "emperord has no STATE_DIRECTORY")

    def begin(self, spec: Spec) -> int | None:
        """A process of the app is about to start. Returns the descriptor that it writes its files
        to, where they are not known or old. It belongs to this object."""
        self.forget(spec.domain)
        path = self._list_of(spec)
        if path is None:
            return None
        with suppress(OSError):
            is_fresh = 0 <= time.time() - path.stat().st_mtime < _FRESH_SECONDS
            if is_fresh and _is_of(path, _user_of(spec)):
                return None
        try:
            fd = os.memfd_create("emperord-files", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError:  # no descriptor is left
            return None
        os.ftruncate(fd, _MOST_BYTES)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self._asked[spec.domain] = fd, _user_of(spec)
        return fd

    def started(self, spec: Spec) -> None:
        """The process has been started: read its files ahead. Before that, the thread would only
        take Python's lock from the start itself."""
        path = self._list_of(spec)
        if path is not None and _is_of(path, _user_of(spec)):
            self._ahead.begin(spec.identity, partial(listed, path))

    def _list_of(self, spec: Spec) -> Path | None:
        # Where uWSGI changes its user itself, that user writes the list, and not `identity`.
        return None if self._folder is None or spec.drops_to else self._folder / spec.domain

    def take(self, domain: str) -> None:
        """The app has answered, or has ended: keep what it has written, if it has."""
        if self._folder is None or domain not in self._asked:
            return
        fd, user = self._asked[domain]
        data = os.pread(fd, _MOST_BYTES, 0).rstrip(b"\0")
        if data:
            self.forget(domain)
            draft = self._folder / _DRAFT
            with suppress(OSError):
                draft.write_bytes(zlib.compress(data, 1))
                os.chown(draft, user, -1)
                draft.rename(self._folder / domain)

    def modules(self, domain: str, user: int) -> list[str]:
        """The names of the modules that the app had imported, as it has said, if it ran as that
        user."""
        path = self._folder / domain if self._folder is not None else None
        return _modules(path) if path is not None and _is_of(path, user) else []

    def forget(self, domain: str) -> None:
        """Expect no list of that app any more."""
        if domain in self._asked:
            fd, _ = self._asked.pop(domain)
            # The app has it for as long as it runs.
            os.ftruncate(fd, 0)
            os.close(fd)


def _user_of(spec: Spec) -> int:
    return spec.identity.uid if spec.identity else os.geteuid()


def _is_of(path: Path, user: int) -> bool:
    """Whether there is a list that an app of that user has written."""
    with suppress(OSError):
        return path.stat().st_uid == user
    return False


def listed(path: Path) -> list[str]:
    """The files in the list at `path`, as far as it can be read."""
    names = _lines(path)[:_MOST_FILES]
    return [name for name in names if name.startswith("/") and "\0" not in name]


def _modules(path: Path) -> list[str]:
    """The names of modules in the list of an app."""
    return [name[1:] for name in _lines(path) if name.startswith("=")]


def _lines(path: Path) -> list[str]:
    try:
        unpacked = zlib.decompressobj().decompress(path.read_bytes(), _MOST_BYTES)
    except (OSError, zlib.error):
        return []
    # An app may write nothing but line breaks, and each line takes time.
    lines = unpacked.split(b"\n", _MOST_LINES)[:_MOST_LINES]
    return [line.decode(errors="surrogateescape") for line in lines]


def _sweep(folder: Path) -> None:
    """Remove the lists of apps that have not started for long. Raises OSError."""
    before = time.time() - _LONGEST_UNUSED_SECONDS
    for path in folder.iterdir():
        if path.stat().st_mtime < before:
            path.unlink()
