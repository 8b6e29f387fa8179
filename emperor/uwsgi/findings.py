"""What `emperorctl check` says of an ini."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
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


_REFUSED = re.compile(r"uWSGI refuses it .*unknown config directive: (?P<key>.*)")
_OF_SOCKETS = ("a request at ", "a changed ini stops the app ")


def once(found: Sequence[Finding]) -> list[Finding]:
    """`found` with one finding for each cause: not what else a socket means that cannot be bound,
    and not that uWSGI ignores an option which it refuses under `strict`."""
    broken = {each.line for each in found if each.severity is Severity.ERROR}
    kept = [
        each for each in found
        if each.line not in broken or not each.text.startswith(_OF_SOCKETS)
    ]  # fmt: skip
    for error in [each for each in kept if _REFUSED.match(each.text)]:
        key = error.text.rpartition(": ")[2]
        unknown = [
            each for each in kept if each.line and key in each.text and "ignore" in each.text
        ]
        if unknown:
            kept = [each for each in kept if each not in (error, unknown[0])]
            text = f"uWSGI refuses it under strict: unknown config directive: {key}"
            kept.append(replace(unknown[0], severity=Severity.ERROR, text=text))
    return kept
