"""Why something happens to a vassal, and how the process booted that was started for it."""

import re
from dataclasses import dataclass, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class Cause:
    """Who wants a vassal to do something, and since when (monotonic seconds). `by` is "hit",
    "connection", "emperorctl start" and the like. A hit may bring the visitor's address `client`,
    the id, method and path of the request, the user agent, and the `traceparent` of W3C Trace
    Context. `person`: a browser or the operator. `nobody_waits`: no request does. `drained_at` is
    when the process had ended that had to stop first, and `turn_at` when the turn to boot came;
    None: there was nothing to wait for."""

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
