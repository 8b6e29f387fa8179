"""Under which names the fleet knows this machine: now, and before a reload or a restart changed its
settings.

What the daemon before has in the registry is still this machine's then. A file in run-dir tells the
next daemon of the name, until the machine boots again.

Containers that were made from one image, on one machine, have the same /etc/machine-id and the same
boot of the kernel. So the first daemon draws an id, which that file keeps for those after it.
"""

import logging
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
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
        """Both names. What the registry has under either is this machine's."""
        return frozenset(name for name in (self.now, self.before) if name)

    def forget(self) -> None:
        """The registry has nothing of this machine any more."""
        if self.note:
            self.note.unlink(missing_ok=True)


def own_names(settings: Settings) -> OwnNames:
    """The names of a daemon with these settings. The next daemon is told of them too."""
    name = settings.fleet_address or socket.gethostname()
    note = settings.run_dir / "fleet-names"
    noted = _read(note)
    is_known = bool(noted) and _is_of_this_boot(noted[0])
    machine = noted[0] if is_known else f"{own_machine()}-{secrets.token_hex(8)}"
    earlier = [each for each in noted[1:] if is_known and each != name][:1]
    words = [machine, name, *earlier]
    if words != noted and not _is_written(note, words) and not is_known:
        # Each part of the daemon that asks must get the same.
        return OwnNames(Holder(name, own_machine()))
    return OwnNames(Holder(name, machine), Holder(earlier[0], machine) if earlier else None, note)


def _is_of_this_boot(machine: str) -> bool:
    """Whether a daemon of this machine has noted this id since the machine has booted. One of an
    earlier version drew none."""
    own = own_machine()
    return machine == own or machine.startswith(f"{own}-")


def _is_written(note: Path, words: list[str]) -> bool:
    try:
        replace_kept(note, f"{' '.join(words)}\n".encode())
    except OSError as error:
        log.warning("cannot write %s: %s", note, error.strerror)
        return False
    return True


def _read(note: Path) -> list[str]:
    try:
        return read_kept(note, _LONGEST_NOTE).decode().split()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("cannot use %s: %s; it is written anew", note, error)
        return []


def own_machine() -> str:
    """What all daemons on this machine have in common, until it boots again."""
    with suppress(OSError):
        text = _MACHINE_ID.read_text(encoding="ascii", errors="replace") + boot_id()
        return sha256(text.encode()).hexdigest()[:16]
    return sha256(boot_id().encode()).hexdigest()[:16]
