"""The errors of the control API, as problem details of RFC 9457."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

CONTENT_TYPE = "application/problem+json"


class _Kind(NamedTuple):
    code: str
    status: int
    title: str


class ProblemCode(Enum):
    """Every error there is: its code, its HTTP status, and what it means in general."""

    BAD_REQUEST = _Kind("bad-request", 400, "The request is not valid")
    FORBIDDEN = _Kind("forbidden", 403, "It is for root and the members of control-group alone")
    NO_SUCH_ENDPOINT = _Kind("no-such-endpoint", 404, "There is no such endpoint")
    NO_SUCH_VASSAL = _Kind("no-such-vassal", 404, "There is no such vassal")
    NO_LOG = _Kind("no-log", 404, "There is no log that this user may read")
    METHOD_NOT_ALLOWED = _Kind("method-not-allowed", 405, "The endpoint has other methods")
    REFUSED = _Kind("refused", 409, "The ini of this domain is not served")
    TOO_MANY_CONNECTIONS = _Kind("too-many-connections", 429, "This user has too many connections")
    CANNOT_UPGRADE = _Kind("cannot-upgrade", 409, "The new version cannot take over")
    INTERNAL_ERROR = _Kind("internal-error", 500, "A fault in emperord; its log has the traceback")
    CANNOT_NOTIFY = _Kind("cannot-notify", 409, "Neither notify-command nor notify-url is set")
    CANNOT_DRAIN = _Kind("cannot-drain", 500, "The drain cannot be noted or ended in run-dir")
    ORDER_FAILED = _Kind("order-failed", 502, "The app did not do what it was ordered to")

    @property
    def code(self) -> str:
        """What programs tell it by."""
        return self.value.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value.status

    @property
    def title(self) -> str:
        """What it means, the same for each occurrence."""
        return self.value.title

    @property
    def type(self) -> str:
        """The URN that RFC 9457 asks for."""
        return f"urn:emperord:problem:{self.code}"


@dataclass(frozen=True, slots=True)
class Problem:
    """The body of every answer that is an error."""

    type: str
    """`urn:emperord:problem:` and the code"""
    title: str
    """what the code means; the same each time"""
    status: int
    """the HTTP status"""
    detail: str
    """what went wrong this time: a sentence for people"""
    code: str
    """one of the codes below"""


def problem(code: ProblemCode, detail: str) -> Problem:
    """What a program is told of one occurrence of an error."""
    return Problem(code.type, code.title, code.status, detail, code.code)
