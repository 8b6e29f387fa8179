"""Whether this machine drains: its health tells the load balancers so, and nothing else changes.

Whoever takes a machine out for an upgrade does not want it back the moment that the daemon is
restarted, so it is noted in a file of run-dir. The note is good for one boot, as /run is.
"""

import logging
import os
import stat
from datetime import datetime
from pathlib import Path

log = logging.getLogger("emperord.drain")

_LONGEST_NOTE = 200


class Drain:
    """Begun and ended by the operator. `boot` is the name of this boot of the machine."""

    def __init__(self, run_dir: Path, boot: str) -> None:
        self._note = run_dir / "draining"
        self._boot = boot
        self._since = self._recall()

    @property
    def since(self) -> datetime | None:
        """When it began; None: this machine does not drain."""
        return self._since

    def begin(self, now: datetime) -> None:
        """Drain, from `now` on unless it has begun before. Raises OSError, and then all is as
        it was."""
        since = self._since or now
        draft = self._note.with_name("draining.new")
        try:
            draft.write_text(f"{since.isoformat()} {self._boot}\n", encoding="ascii")
            draft.replace(self._note)
        finally:
            draft.unlink(missing_ok=True)
        if self._since is None:
            log.info("draining: load balancers are told to send requests elsewhere")
        self._since = since

    def end(self) -> None:
        """Drain no longer. Raises OSError, and then all is as it was."""
        self._note.unlink(missing_ok=True)
        if self._since is not None:
            log.info("draining no longer: load balancers may send requests here again")
        self._since = None

    def _recall(self) -> datetime | None:
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
        """What somebody else may have meant is kept for them to look at."""
        aside = self._note.with_name("draining.bad")
        try:
            self._note.replace(aside)
            done = f"moved to {aside}"
        except OSError as error:
            done = f"it cannot be moved away either: {error.strerror}"
        log.warning(
            "cannot use %s: %s (%s); this machine does not drain, `emperorctl drain` would",
            self._note, why, done,
        )  # fmt: skip


def _read(note: Path, boot: str) -> datetime:
    """What `begin` wrote. Raises OSError, and ValueError for what it did not write."""
    fd = os.open(note, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("it is not a file")
        if info.st_uid != os.geteuid():
            raise ValueError(f"it belongs to user {info.st_uid}")
        words = os.read(fd, _LONGEST_NOTE).decode("ascii").split()
    finally:
        os.close(fd)
    if len(words) != 2:
        raise ValueError("it is damaged")
    since = datetime.fromisoformat(words[0])
    if since.tzinfo is None:
        raise ValueError("its time has no time zone")
    if words[1] != boot:
        raise ValueError("it is from before a reboot")
    return since
