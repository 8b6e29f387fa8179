"""What a daemon leaves to the next one: notices that were not sent yet, and what was told and is
not over."""

import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from emperor.linux.kept_file import read_kept, replace_kept
from emperor.model.notice import Incident, Notice

log = logging.getLogger("emperord.kept")

_LONGEST = 4 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of the notices. `waiting` are notices by the name of the sender that they wait
    for."""

    waiting: dict[str, tuple[Notice, ...]]
    open: tuple[Incident, ...]

    def __bool__(self) -> bool:
        return bool(self.open or any(self.waiting.values()))


class KeptNotices:
    """The file in a folder that outlasts the daemon."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "notices"

    def take(self) -> Kept | None:
        """What the last daemon has left, once; None where there is nothing."""
        try:
            kept = msgspec.json.decode(read_kept(self._path, _LONGEST), type=Kept)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("cannot use %s: %s; some notices may be lost", self._path, error)
            kept = None
        self.drop()
        return kept

    def leave(self, kept: Kept) -> None:
        """Leave it to the next daemon."""
        if not kept:
            return
        try:
            replace_kept(self._path, msgspec.json.encode(kept), 0o600)
        except OSError as error:
            log.warning("cannot write %s: %s; some notices are lost", self._path, error.strerror)

    def drop(self) -> None:
        """Remove what was left for the next daemon."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot remove %s: %s", self._path, error.strerror)
