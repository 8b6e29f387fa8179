"""The definition of a vassal as it was read from a file, and the error for one that is broken."""

from dataclasses import dataclass

# The most bytes that a definition can have.
LONGEST_DEFINITION = 1 << 16


class BrokenIni(Exception):
    """An ini that cannot be served. The caller puts the name of the file before the message.

    `line` counts from 1. It is 0 where the error is about the whole ini, or about an option from
    another file. `cure` is empty where there is no advice. A path in either may have any bytes; it
    is text here that every log, record and terminal can take.
    """

    def __init__(self, cause: str, cure: str = "", line: int = 0) -> None:
        super().__init__(cause, cure, line)
        self.cause = _encodable(cause)
        self.cure = _encodable(cure)
        self.line = line

    def __str__(self) -> str:
        """The line, the cause and the cure, such as "line 3: cause; cure"."""
        place = f"line {self.line}: " if self.line else ""
        advice = f"; {self.cure}" if self.cure else ""
        return f"{place}{self.cause}{advice}"


@dataclass(frozen=True, slots=True)
class FileOwner:
    """The user and group that own a file: of a symbolic link, those of its target."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of the file that defines the vassal of `domain`.

    `file` is its name in `folder`, which is a real path without symbolic links. `granted` are the
    aliases that a registry gives to an ini of a tenant's, who can claim none by the ini alone.
    """

    domain: str
    file: str
    folder: str
    data: bytes
    owner: FileOwner
    granted: frozenset[str] = frozenset()


def _encodable(text: str) -> str:
    """The text with `\\udcff` and the like in place of what is not Unicode."""
    return text.encode(errors="backslashreplace").decode()
