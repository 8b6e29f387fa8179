"""Measures which imports of an app take the time, at a start that follows a slow or failed one.

The Python of the app writes the times into a piece of memory that it shares with the daemon, and
that cannot grow (time_imports.py). What it writes is the app's word: it is bounded, and shown as
text.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress

from emperor.model.slow_imports import SlowImport

# Tells the Python of an app where to write the times.
VARIABLE = "EMPERORD_IMPORTS_FD"
_OPEN_BYTES = 1024
_MOST_BYTES = 8192
_LONGEST_NAME = 120
_MOST_PACKAGES = 12
_MOST_MILLISECONDS = 1e8
# Of the time that the start has taken.
_WORTH_TELLING = 0.1


class ImportTimes:
    """The times of one process, which writes them to `fd`; None: they are not measured."""

    def __init__(self) -> None:
        self.fd: int | None = None

    def open(self) -> None:
        """Have them measured, unless no descriptor is left."""
        with suppress(OSError):
            self.fd = os.memfd_create("emperord-imports", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(self.fd, _MOST_BYTES)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)

    def taken(self, now: float) -> tuple[SlowImport, ...] | None:
        """What has taken a tenth or more of the time from the first import until `now`, in
        monotonic seconds; None: that was not measured."""
        if self.fd is None:
            return None
        text = _text(os.pread(self.fd, _MOST_BYTES, _OPEN_BYTES))
        with suppress(ValueError):
            return tuple(_slow(text.split("\n"), now))
        return ()

    def unfinished(self) -> str:
        """Which module is being imported, and by which, in words; empty: none is."""
        if self.fd is None:
            return ""
        names = [name for name in _text(os.pread(self.fd, _OPEN_BYTES, 0)).split("\n") if name]
        by = f", which {names[-2][:_LONGEST_NAME]} imports" if len(names) > 1 else ""
        return f"it was importing {names[-1][:_LONGEST_NAME]}{by}" if names else ""

    def close(self) -> None:
        """Measure no more."""
        if self.fd is not None:
            os.ftruncate(self.fd, 0)
            os.close(self.fd)
            self.fd = None


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode(errors="replace")


def _slow(lines: list[str], now: float) -> Iterator[SlowImport]:
    """The packages of the lines that count, the slowest first. Raises ValueError."""
    begun, total, own_file = lines[0].split("\t", 2)
    if not 0 <= float(begun) <= now:
        raise ValueError(f"it cannot have begun at {begun}")
    whole = max(1.0, (now - float(begun)) * 1000)
    found = [_package(line, whole) for line in lines[1 : _MOST_PACKAGES + 1]]
    if own_file:
        name, rest = own_file[:_LONGEST_NAME], round(whole - _milliseconds(total), 1)
        found.append(SlowImport(name, rest, _percent(rest, whole), 0, None))
    found.sort(key=lambda each: -each.milliseconds)
    return (each for each in found if each.milliseconds >= whole * _WORTH_TELLING)


def _package(line: str, whole: float) -> SlowImport:
    took, modules, name, by = line.split("\t", 3)
    return SlowImport(
        name[:_LONGEST_NAME],
        _milliseconds(took),
        _percent(_milliseconds(took), whole),
        int(_milliseconds(modules)),
        by[:_LONGEST_NAME] or None,
    )


def _milliseconds(text: str) -> float:
    """A number of them, within reason. Raises ValueError."""
    number = float(text)
    if not 0 <= number < _MOST_MILLISECONDS:
        raise ValueError(f"{text} is no time")
    return number


def _percent(part: float, whole: float) -> int:
    return min(100, round(100 * part / whole))
