"""What `emperorctl check` says of an ini."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """ERROR: the app will not be served. WARNING: the app will not work as the ini says. NOTE: it
    will, but there is something that the administrator should know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `line` is 0 when it is about the whole ini."""

    line: int
    severity: Severity
    text: str
    cure: str
