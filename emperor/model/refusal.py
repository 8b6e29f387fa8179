"""Why an ini is not served: a code for programs, and a sentence for people."""

from dataclasses import dataclass
from enum import Enum


class RefusalReason(Enum):
    """What kind of problem keeps an ini from being served."""

    BAD_NAME = "bad-name"
    UNREADABLE = "unreadable"
    BAD_FILE = "bad-file"
    BROKEN_INI = "broken-ini"
    CONFLICT = "conflict"
    CANNOT_LISTEN = "cannot-listen"
    TOO_MANY_VASSALS = "too-many-vassals"
    FAULT = "fault"


MEANING: dict[RefusalReason, str] = {
    RefusalReason.BAD_NAME: "the name of the file is not DOMAIN.ini with a valid host name",
    RefusalReason.UNREADABLE: "the kernel does not let emperord read the file",
    RefusalReason.BAD_FILE: (
        "it is not a regular file, it is too large, or others than its owner may change it"
    ),
    RefusalReason.BROKEN_INI: "emperord or uWSGI cannot use what the file says",
    RefusalReason.CONFLICT: "another ini has the same host name or socket",
    RefusalReason.CANNOT_LISTEN: "its socket cannot be bound",
    RefusalReason.TOO_MANY_VASSALS: "the limit on open files allows no further vassal",
    RefusalReason.FAULT: "emperord has a fault; its log has the traceback",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An ini that is not served. `domain` is the name of the file without `.ini`, which need not be
    a valid host name; `message` reads "cannot X: cause; cure". `owner` is the user that the vassal
    would run as, or who owns the file; None: only administrators learn of it."""

    domain: str
    file: str
    reason: RefusalReason
    message: str
    owner: int | None = None
