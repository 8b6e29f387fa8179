"""Which inis have what another ini claims too. They keep it over a restart of the daemon.

The first ini to claim a host name or a socket has it. A daemon that starts anew reads the holders
of the one before first, so the order of their names decides nothing. Who has the better right to it
takes it from the first one.
"""

import logging
from typing import Protocol

from emperor.linux.binding import may_bind
from emperor.model.claims import Conflict, Right
from emperor.model.spec import Spec
from emperor.supervisor.records import Vassal

log = logging.getLogger("emperord.claim_holders")

_ROOT = 0


class Note(Protocol):
    """Keeps a text for later daemons."""

    def read(self) -> str:
        """The text; empty where there is none."""

    def write(self, words: str) -> None:
        """Replace the text. Raises OSError."""


class ClaimHolders:
    """The holder of each ini that is refused for a conflict."""

    def __init__(self, note: Note | None) -> None:
        self._note = note
        self.earlier = tuple(note.read().split()) if note else ()
        self._saved = " ".join(self.earlier)
        self._by_refused: dict[str, str] = {}

    def add(self, refused: str, holder: str | None) -> None:
        """The ini `refused` claims what `holder` has."""
        if holder is not None:
            self._by_refused[refused] = holder

    def drop(self, refused: str) -> bool:
        """The ini `refused` is refused for a conflict no more. Returns whether it was."""
        return self._by_refused.pop(refused, None) is not None

    def save(self) -> None:
        """Keep the holders for the next daemon."""
        words = " ".join(sorted(set(self._by_refused.values())))
        if self._note is None or words == self._saved:
            return
        try:
            self._note.write(words)
            self._saved = words
        except OSError as error:
            log.warning("cannot keep who won a conflict of inis: %s", error.strerror)


def has_better_right(spec: Spec, holder: Vassal, conflict: Conflict, *, is_good: bool) -> bool:
    """Whether an ini that has just been read has the better right to what another one has. A host
    that is the name of an ini can only be an alias of others."""
    if conflict.is_host:
        return True
    return _right(spec, conflict.claim, has_served=is_good) > _right(
        holder.spec, conflict.claim, has_served=holder.has_accepted
    )


def _right(spec: Spec, socket: str, *, has_served: bool) -> Right:
    is_root = spec.owner in (None, _ROOT)
    return Right(may_bind(socket, spec.identity), is_root, has_served)
