"""Why something happens to a vassal, and how the process booted that was started for it."""

import re
from dataclasses import dataclass, replace
from enum import Enum


class CauseKind(Enum):
    """What a process was started for."""

    HIT = "hit"
    """a request that nginx's fallback brought"""
    CONNECTION = "connection"
    """a connection on the socket"""
    ORDER = "order"
    """an order of `emperorctl`, or of the console"""
    CHANGE = "change"
    """its ini has changed"""
    ALWAYS = "always"
    """the app never sleeps (`always = true`, `idle = 0`)"""
    OTHER = "other"
    """anything else, as a socket that was taken away"""


# Somebody waits for the app.
VISITORS = frozenset({CauseKind.HIT, CauseKind.CONNECTION})


@dataclass(frozen=True, slots=True)
class Cause:
    """Who wants a vassal to do something, and since when (monotonic seconds). `by` says that to
    people: "hit", "connection", "emperorctl start" and the like. A hit may bring the visitor's
    address `client`, the id, method and path of the request, the user agent, and the `traceparent`
    of W3C Trace Context. `person`: a browser or the operator. `nobody_waits`: no request does.
    `drained_at` is when the process had ended that had to stop first, and `turn_at` when the turn
    to boot came; None: there was nothing to wait for."""

    by: str
    at: float
    client: str | None = None
    request: str | None = None
    person: bool = False
    method: str | None = None
    path: str | None = None
    agent: str | None = None
    nobody_waits: bool = False
    drained_at: float | None = None
    turn_at: float | None = None
    traceparent: str | None = None
    kind: CauseKind = CauseKind.OTHER

    @classmethod
    def connection(cls, at: float) -> "Cause":
        """A connection on the socket."""
        return cls("connection", at, kind=CauseKind.CONNECTION)

    @classmethod
    def order(cls, by: str, at: float) -> "Cause":
        """An order of the operator's."""
        return cls(by, at, person=True, kind=CauseKind.ORDER)

    @classmethod
    def change(cls, at: float) -> "Cause":
        """Its ini is another one."""
        return cls("its ini changed", at, kind=CauseKind.CHANGE)

    @classmethod
    def always(cls, by: str, at: float) -> "Cause":
        """The app never sleeps."""
        return cls(by, at, nobody_waits=True, kind=CauseKind.ALWAYS)

    def after_drain(self, now: float) -> "Cause":
        """This cause, when the process has ended that had to stop first."""
        return replace(self, drained_at=now)

    def at_turn(self, now: float) -> "Cause":
        """This cause, when the turn to boot has come."""
        return replace(self, turn_at=now)

    def __str__(self) -> str:
        text = f"{self.by} from {self.client}" if self.client else self.by
        if self.method and self.path:
            text += f" for {self.method} {self.path}"
        return f"{text}, agent {self.agent}" if self.agent else text


def with_kind(cause: Cause) -> Cause:
    """A cause with its kind, which earlier versions did not keep: `by` told it."""
    return cause if cause.kind is not CauseKind.OTHER else replace(cause, kind=_told_by(cause))


def _told_by(cause: Cause) -> CauseKind:
    if cause.nobody_waits:
        return CauseKind.ALWAYS
    if cause.by.startswith(("emperorctl ", "console ")):
        return CauseKind.ORDER
    return _TOLD_BY.get(cause.by, CauseKind.OTHER)


_TOLD_BY = {
    "hit": CauseKind.HIT,
    "connection": CauseKind.CONNECTION,
    "its ini changed": CauseKind.CHANGE,
}
_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(text: str | None) -> str | None:
    """A `traceparent` that is valid by its form; None for any other text."""
    return text if text and _TRACEPARENT.fullmatch(text) else None


class StartMethod(Enum):
    """How a process is started."""

    FORK = "fork"
    """from a base"""
    EXEC = "exec"


@dataclass(slots=True)
class Boot:
    """When a process reached each phase, in monotonic seconds; None: not yet."""

    cause: Cause
    spawned: float
    loaded: float | None = None
    accepting: float | None = None
    first_reply: float | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """When an app stopped last (monotonic seconds), and why."""

    at: float
    why: str
