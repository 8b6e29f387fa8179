"""The list of backends as a file for nginx, which only this agent writes.

The file is the last good table: it is read at the start, so that nothing else has to be kept.
"""

import logging
from contextlib import suppress
from pathlib import Path

from emperor.linux.kept_file import replace_kept
from emperor.model.balancer_list import MARK, read, written
from emperor.model.slot_table import BrokenTable, SlotTable

log = logging.getLogger("emperord.list_file")

_MODE = 0o644


class NotOurs(Exception):
    """Somebody else has written the file; the message has the cure."""


class ListFile:
    """The file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_there(self) -> bool:
        """Whether nginx would find it at its next start."""
        return self.path.exists()

    def check(self) -> None:
        """Raises NotOurs, OSError if it cannot be replaced by a table."""
        self._text()

    def load(self) -> SlotTable | None:
        """The table in it; None if there is none that can be used. Raises NotOurs, OSError."""
        text = self._text()
        if text is None:
            return None
        try:
            return read(text)
        except BrokenTable as error:
            log.warning("cannot use %s: %s; the next table is taken as it is", self.path, error)
            return None

    def written_at(self) -> float | None:
        """When it got its content, in seconds since the epoch; None: it is not there."""
        with suppress(OSError):
            return self.path.stat().st_mtime
        return None

    def replace(self, table: SlotTable) -> None:
        """Write the table, as a whole or not at all. Raises NotOurs, OSError."""
        self._text()
        replace_kept(self.path, written(table).encode("ascii"), _MODE)

    def _text(self) -> str | None:
        try:
            text = self.path.read_bytes().decode("ascii", errors="replace")
        except FileNotFoundError:
            return None
        if text.strip() and not text.startswith(MARK):
            raise NotOurs(
                f"cannot write {self.path}: somebody else has written it; move it away, or name"
                f" another list-file, or have it begin with the line: {MARK}"
            )
        return text
