"""What a user can do at a path of the file system."""

from dataclasses import dataclass
from enum import Enum


class Reach(Enum):
    """How far a user gets on the way to a path. UNSEEN: this process may not look there."""

    REACHED = "reached"
    MISSING = "missing"
    CLOSED = "closed"
    UNSEEN = "unseen"


class FileKind(Enum):
    """What is at a path."""

    FILE = "file"
    FOLDER = "folder"
    SOCKET = "socket"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Access:
    """How far a user gets on the way to a path, and what the user may do there.

    `at` is where the way ends: the path itself, the first name that does not exist, or the folder
    that the user may not enter. It contains no symbolic link. `kind` and the permissions are those
    of the path, if it was reached; `can_write` is about the content of a file, or the entries of a
    folder. `can_execute` is about a file.

    `owner` is the uid that owns the path. `is_sticky`: in this folder only the owner of an entry,
    or of the folder, can replace that.
    """

    reach: Reach
    at: str
    kind: FileKind | None = None
    can_read: bool = False
    can_write: bool = False
    can_enter: bool = False
    can_execute: bool = False
    owner: int = 0
    is_sticky: bool = False
