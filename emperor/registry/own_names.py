"""Under which names the fleet knows this machine: now, and before a reload or a restart changed its
settings.

What the daemon before has in the registry is still this machine's then. A file in run-dir tells the
next daemon of the name, until the machine boots again.
"""

import logging
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from emperor.linux.boot_id import boot_id
from emperor.linux.kept_file import read_kept, replace_kept
from emperor.model.once import Holder
from emperor.model.settings import Settings

log = logging.getLogger("emperord.own_names")

_MACHINE_ID = Path("/etc/machine-id")
_LONGEST_NOTE = 1024


@dataclass(frozen=True, slots=True)
class OwnNames:
    """The name of this machine now, and the one before it, if it had another one. `note` is the
    file that tells the next daemon."""

    now: Holder
    before: Holder | None = None
    note: Path | None = None

    @property
    def all(self) -> frozenset[Holder]:
        """Both. What the registry has under either is this machine's."""
        return frozenset(name for name in (self.now, self.before) if name)

    def forget(self) -> None:
        """The registry has nothing of this machine any more."""
        if self.note:
            self.note.unlink(missing_ok=True)


def own_names(settings: Settings) -> OwnNames:
    """Those of the daemon with these settings. The next one is told of them too."""
    machine, name = own_machine(), settings.fleet_address or socket.gethostname()
    note = settings.run_dir / "fleet-names"
    noted = _read(note)
    names = replace(_names(noted, machine, name), note=note)
    words = [machine, name, *([names.before.address] if names.before else [])]
    if words != noted:
        try:
            replace_kept(note, f"{' '.join(words)}\n".encode())
        except OSError as error:
            log.warning("cannot write %s: %s", note, error.strerror)
    return names


def _names(noted: list[str], machine: str, name: str) -> OwnNames:
    now = Holder(name, machine)
    match noted:
        case [same, last, *earlier] if same == machine:
            others = [each for each in (last, *earlier) if each != name]
            return OwnNames(now, Holder(others[0], machine) if others else None)
    return OwnNames(now)


def _read(note: Path) -> list[str]:
    try:
        return read_kept(note, _LONGEST_NOTE).decode().split()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("cannot use %s: %s; it is written anew", note, error)
        return []


def own_machine() -> str:
    """What tells this machine from another one. A clone may have the same id, and containers of one
    machine have its boot in common."""
    with suppress(OSError):
        text = _MACHINE_ID.read_text(encoding="ascii", errors="replace") + boot_id()
        return sha256(text.encode()).hexdigest()[:16]
    return sha256(boot_id().encode()).hexdigest()[:16]
