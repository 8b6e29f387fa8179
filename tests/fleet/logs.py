"""Log files that are judged from one test to the next."""

import re
from collections.abc import Iterable
from pathlib import Path


class Log:
    """A log file of a machine, as of now. `harmless` are patterns of lines that mean no fault."""

    def __init__(self, path: Path, harmless: Iterable[str] = ()) -> None:
        self._path = path
        self._harmless = tuple(harmless)
        self._expected: list[str] = []
        self._start = 0
        self.turn_over()

    def turn_over(self) -> None:
        """Begin a new page: what was logged and expected so far no longer counts."""
        self._start = self._path.stat().st_size if self._path.exists() else 0
        self._expected.clear()

    def expect(self, pattern: str) -> None:
        """Announce lines that are provoked on this page."""
        self._expected.append(pattern)

    def lines(self, pattern: str = "") -> list[str]:
        """The lines of this page that match."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as log:
            log.seek(self._start)
            text = log.read().decode(errors="replace")
        return [line for line in text.splitlines() if re.search(pattern, line)]

    def unexpected(self) -> list[str]:
        """The lines of this page that are neither harmless nor announced."""
        known = [*self._harmless, *self._expected]
        return [line for line in self.lines() if not any(re.search(p, line) for p in known)]
