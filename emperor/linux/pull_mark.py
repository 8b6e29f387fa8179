"""A mark on an ini that was pulled from the registry: what the journal says of it too.

A journal can be lost, or come from an old backup. With the mark the serial of each file is known
nevertheless. It is an extended attribute (xattr(7)) of the namespace `trusted`, which only root can
set and read: a tenant owns the file, and could otherwise say that its serial is the highest of all.
A file system, container or user without that attribute has no marks, and then the journal is all.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from emperor.model.domain import is_domain
from emperor.model.pulled import Pulled, PulledState

_NAME = "trusted.emperord.pulled"
_DECODER = msgspec.json.Decoder(Pulled)


def mark(path: Path, pulled: Pulled) -> None:
    """Mark the file, if that is possible here."""
    value = msgspec.json.encode(msgspec.structs.replace(pulled, before=None))
    with suppress(OSError):
        os.setxattr(path, _NAME, value, follow_symlinks=False)


def marked(folder: Path) -> Iterator[Pulled]:
    """What the inis of a folder were pulled as. A mark that is not for the file's own name is that
    of a copy, and does not count. Raises OSError."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".ini") and (pulled := _mark_of(entry.path)):
                domain = entry.name.removesuffix(".ini")
                if pulled.domain == domain and is_domain(domain) and pulled.serial > 0:
                    yield msgspec.structs.replace(pulled, state=PulledState.HELD, before=None)


def _mark_of(path: str) -> Pulled | None:
    with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        return _DECODER.decode(os.getxattr(path, _NAME, follow_symlinks=False))
    return None
