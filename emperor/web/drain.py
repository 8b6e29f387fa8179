"""Whether this machine drains: load balancers are told to send requests elsewhere.

Nothing else changes: requests that come are served. A file of run-dir keeps the drain over restarts
of the daemon, since an operator who upgrades a machine does not want requests in between. The file
is valid until the machine boots again.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from emperor.linux.kept_file import read_kept, replace_kept

log = logging.getLogger("emperord.drain")

_LONGEST_NOTE = 200


def _nobody(_is_over: bool) -> None:
    pass


class Drain:
    """The operator begins and ends it. `boot` is the id of this boot of the machine. `tell` is
    told whether a change is an end."""

    def __init__(self, run_dir: Path, boot: str, tell: Callable[[bool], None] = _nobody) -> None:
        self._note = run_dir / "draining"
        self._boot = boot
        self._tell = tell
        self._since = self._saved()

    @property
    def since(self) -> datetime | None:
        """When the drain began; None: this machine does not drain."""
        return self._since

    def begin(self, now: datetime) -> None:
        """Drain from `now` on, or from when a drain began before. Raises OSError, and then nothing
        has changed."""
        since = self._since or now
        replace_kept(self._note, f"{since.isoformat()} {self._boot}\n".encode("ascii"))
        before, self._since = self._since, since
        if before is None:
            log.info("draining: load balancers are told to send requests elsewhere")
            self._tell(False)

    def end(self) -> None:
        """End the drain. Raises OSError, and then nothing has changed."""
        self._note.unlink(missing_ok=True)
        before, self._since = self._since, None
        if before is not None:
            log.info("no longer draining: load balancers may send requests here again")
            self._tell(True)

    def _saved(self) -> datetime | None:
        """When the drain began that an earlier daemon saved, if there is one."""
        try:
            return _read(self._note, self._boot)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._set_aside(error.strerror or str(error))
        except ValueError as error:
            self._set_aside(str(error))
        return None

    def _set_aside(self, why: str) -> None:
        """Move a file away that this daemon did not write; somebody may want to look at it."""
        aside = self._note.with_name("draining.bad")
        try:
            self._note.replace(aside)
            result = f"moved to {aside}"
        except OSError as error:
            result = f"it cannot be moved away either: {error.strerror}"
        log.warning(
            "cannot use %s: %s (%s); this machine does not drain, run `emperorctl drain` if it"
            " should",
            self._note, why, result,
        )  # fmt: skip


def _read(note: Path, boot: str) -> datetime:
    """When the drain began. Raises OSError, and ValueError if `begin` did not write the file."""
    words = read_kept(note, _LONGEST_NOTE).decode("ascii").split()
    if len(words) != 2:
        raise ValueError("it is damaged")
    since = datetime.fromisoformat(words[0])
    if since.tzinfo is None:
        raise ValueError("its time has no time zone")
    if words[1] != boot:
        raise ValueError("it is from before a reboot")
    return since
