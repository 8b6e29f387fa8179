"""The file that keeps what was pulled from the registry: a line of JSON for each change.

A line is on the disk before the ini that it tells of gets its name, so no ini is pulled that no
line tells of. Only root can read it. A line that a loss of power has cut off is the last one, and
the ini that it would tell of never got its name.
"""

import errno
import logging
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import msgspec

from emperor.linux.kept_file import read_kept, replace_kept
from emperor.model.cluster_state import UNKNOWN, ClusterState
from emperor.model.domain import is_domain
from emperor.model.pulled import Pulled

log = logging.getLogger("emperord.pulled_journal")

_NAME = "pulled"
_MODE = 0o600
# 100,000 domains, each with a line of 300 bytes, and as many outdated lines.
_MOST_BYTES = 1 << 26
# The file is written anew when it has so many lines more than are needed.
_SPARE_LINES = 4096


class _UpTo(msgspec.Struct, frozen=True, tag="upto"):
    """All that was pulled is as the registry had it at this revision, on a machine that was booted
    then; and the state of its cluster, 0: not known."""

    revision: int
    boot: str
    cluster: int = 0
    elections: int = 0


_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Pulled | _UpTo] = msgspec.json.Decoder(Pulled | _UpTo)


@dataclass
class Journal:
    """The journal of the inis that were pulled. `boot` is the id of this boot. All methods but
    `load` raise OSError."""

    folder: Path
    boot: str
    domains: dict[str, Pulled] = field(default_factory=dict)
    """what is kept of each domain; changed by the thread that writes, and read by others"""
    revision: int = 0
    """up to which all that is held is as the registry has it; 0: none is known"""
    state: ClusterState = UNKNOWN
    """which registry that is"""
    has_rebooted: bool = False
    """whether the machine was booted since the journal was written"""
    is_missing: bool = False
    """whether there was none, since no daemon has written one or it was lost, or none that can be
    read"""
    _file: FileIO | None = None
    _lines: int = 0

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / _NAME

    def load(self) -> None:
        """Read what an earlier daemon has kept. What cannot be read is logged."""
        try:
            lines = read_kept(self.path, _MOST_BYTES).splitlines()
        except FileNotFoundError:
            self.is_missing = True
            return
        except (OSError, ValueError) as error:
            log.error("cannot read %s: %s", self.path, error)
            self.is_missing = True
            return
        boot, damaged = self.boot, 0
        for number, line in enumerate(lines, 1):
            try:
                kept = _DECODER.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                damaged += number < len(lines)
                continue
            if isinstance(kept, _UpTo):
                self.revision, boot = kept.revision, kept.boot
                self.state = ClusterState(kept.cluster, kept.elections)
            elif is_domain(kept.domain):
                self.domains[kept.domain] = kept
        if damaged:
            log.error("cannot use %d lines of %s: they are damaged", damaged, self.path)
        self.has_rebooted = boot != self.boot

    def rewrite(self, kept: Iterable[Pulled]) -> None:
        """Have the file keep these, and nothing else."""
        self.domains = {each.domain: each for each in kept}
        self._compact()

    def append(self, kept: Collection[Pulled]) -> None:
        """Keep this too; it is on the disk when this returns."""
        self._write(kept)
        os.fdatasync(self._opened().fileno())
        self.domains |= {each.domain: each for each in kept}
        if self._lines > 2 * len(self.domains) + _SPARE_LINES:
            try:
                self._compact()
            except OSError as error:
                # All of it is kept in the file that is too long.
                log.warning("cannot write %s anew: %s", self.path, error)

    def advance(self, revision: int, state: ClusterState) -> None:
        """All is as the registry in that state had it at that revision. After a loss of power an
        earlier one may be known, which does no harm."""
        if (revision, state) != (self.revision, self.state):
            self.revision, self.state = revision, state
            self._write([self._up_to()])

    def _up_to(self) -> _UpTo:
        return _UpTo(self.revision, self.boot, self.state.cluster, self.state.elections)

    def close(self) -> None:
        """Close the file. The next line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, lines: Collection[Pulled | _UpTo]) -> None:
        file = self._opened()
        data = b"".join(_ENCODER.encode(line) + b"\n" for line in lines)
        if file.write(data) < len(data):
            # What follows must not stand in the line that was cut off.
            file.close()
            self._file = None
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._lines += len(lines)

    def _opened(self) -> FileIO:
        is_gone = self._file is not None and os.fstat(self._file.fileno()).st_nlink == 0
        if self._file is None or is_gone:
            # It is made anew at each start, so that a line which was cut off has no line after it.
            # If somebody has removed it, the next daemon would take all inis for others' files.
            self._compact()
        assert self._file is not None
        return self._file

    def _compact(self) -> None:
        lines = [*self.domains.values(), self._up_to()]
        replace_kept(self.path, b"".join(_ENCODER.encode(e) + b"\n" for e in lines), _MODE)
        self.close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = FileIO(os.open(self.path, flags), "a")
        self._lines = len(lines)
