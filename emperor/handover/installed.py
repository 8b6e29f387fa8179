"""Tells whether this process still is what a new start would be.

A new version proves itself in a process of its own, which imports everything again. Where no file
has changed that this process was loaded from, this process is that proof.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# A file that was written shortly before this process began may have been read before that or after.
_DOUBTFUL_SECONDS = 2.0
_MAPS = Path("/proc/self/maps")


class Installed:
    """The files that this process was loaded from, and what would come before them: the program,
    its interpreter, libraries and modules, and the folders in which Python looks for modules."""

    def __init__(self, program: str, begun: float) -> None:
        """`begun` is the time at which the first import began, in seconds since the epoch."""
        self._program = program
        self._begun = begun
        self._paths: tuple[str, ...] = ()
        self._digest: bytes | None = None

    def note(self) -> None:
        """Note what is there now. It takes some milliseconds, so it is no part of a start: what has
        changed since the start counts as unknown."""
        paths = tuple(dict.fromkeys(_paths(self._program)))
        digest, latest = _look(paths)
        if latest < self._begun - _DOUBTFUL_SECONDS:
            self._paths, self._digest = paths, digest

    def is_unchanged(self) -> bool:
        """Whether a start would load the same files. False also where that is not known."""
        return self._digest is not None and self._digest == _look(self._paths)[0]


def _paths(program: str) -> Iterator[str]:
    yield from (program, sys.executable, os.path.join(sys.prefix, "pyvenv.cfg"))
    with suppress(OSError):
        for line in _MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            place = line.find("/")
            if place >= 0 and "x" in line.split(" ", 2)[1]:
                # The path of a library that was replaced ends with a mark, and there is none such.
                yield line[place:]
    for module in tuple(sys.modules.values()):
        # Byte code follows its source.
        if file := getattr(module, "__file__", None):
            yield from (file, os.path.dirname(file))
    for folder in sys.path:
        yield folder or os.curdir
        with suppress(OSError):
            yield from (entry.path for entry in os.scandir(folder) if entry.name.endswith(".pth"))


def _look(paths: tuple[str, ...]) -> tuple[bytes, float]:
    """A digest of what is at the paths, and when the latest of it has changed (ctime), in seconds
    since the epoch."""
    digest, latest = hashlib.sha256(), 0.0
    for path in paths:
        try:
            info = os.stat(path)
        except (OSError, ValueError):
            digest.update(b"-")
            continue
        stamp = info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns
        digest.update(repr(stamp).encode())
        latest = max(latest, info.st_ctime)
    return digest.digest(), latest
