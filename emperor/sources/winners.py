"""Which inis have what another ini claims too. They keep it over a restart of the daemon.

The first ini to claim a host name or a socket has it. A daemon that starts anew reads the winners
of the one before first, so the order of their names decides nothing.
"""

import logging
from typing import Protocol

log = logging.getLogger("emperord.winners")


class Note(Protocol):
    """Keeps a text for later daemons."""

    def read(self) -> str:
        """The text; empty where there is none."""

    def write(self, words: str) -> None:
        """Replace it. Raises OSError."""


class Winners:
    """The winner of each ini that is refused for a conflict."""

    def __init__(self, note: Note | None) -> None:
        self._note = note
        self.earlier = tuple(note.read().split()) if note else ()
        self._saved = " ".join(self.earlier)
        self._by_loser: dict[str, str] = {}

    def add(self, loser: str, winner: str | None) -> None:
        """The ini `loser` claims what `winner` has."""
        if winner is not None:
            self._by_loser[loser] = winner

    def drop(self, loser: str) -> bool:
        """That ini is refused for a conflict no more. Returns whether it was."""
        return self._by_loser.pop(loser, None) is not None

    def save(self) -> None:
        """Keep the winners for the next daemon."""
        words = " ".join(sorted(set(self._by_loser.values())))
        if self._note is None or words == self._saved:
            return
        try:
            self._note.write(words)
            self._saved = words
        except OSError as error:
            log.warning("cannot keep who won a conflict of inis: %s", error.strerror)
