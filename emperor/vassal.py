"""The records the governor keeps: a vassal, and each process that was started for it.

Only governor.py changes them; everybody else may look.
"""

from dataclasses import dataclass

from emperor.model.lifecycle import Event, Role, State
from emperor.model.policy import SETTLED_SECONDS
from emperor.model.ports import Listener, Process, Timer
from emperor.model.vassal import Spec


@dataclass(frozen=True, slots=True)
class Cause:
    """Who wants something of a vassal, and since when (monotonic seconds): `by` is hit, connection,
    `emperorctl start` and so on; `client` and `request` name the visitor's address and request id
    where a hit told them."""

    by: str
    at: float
    client: str | None = None
    request: str | None = None

    def __str__(self) -> str:
        return f"{self.by} from {self.client}" if self.client else self.by


@dataclass(slots=True)
class Boot:
    """When a process reached each phase, in monotonic seconds; None: not yet."""

    cause: Cause
    spawned: float
    loaded: float | None = None
    accepting: float | None = None
    first_reply: float | None = None


@dataclass(slots=True, eq=False)
class Child:
    """A process in one of the two slots. `blame` is why the daemon itself had to kill it."""

    generation: int
    spec: Spec
    process: Process
    boot: Boot
    role: Role
    timer: Timer | None = None
    blame: str | None = None
    respawns: int = 0

    def served_seconds(self, now: float) -> float:
        """For how long it has been accepting."""
        return 0.0 if self.boot.accepting is None else now - self.boot.accepting


@dataclass(slots=True, eq=False)
class Vassal:
    """One domain. Times are monotonic seconds."""

    spec: Spec
    listener: Listener
    since: float
    state: State = State.PARKED
    lead: Child | None = None
    second: Child | None = None
    owed: tuple[Event, Cause] | None = None
    throttle: Timer | None = None
    retry_at: float | None = None
    starts: int = 0
    failures_in_a_row: int = 0
    last_error: str | None = None
    ini_error: str | None = None
    last_hit: float | None = None
    last_boot: Boot | None = None
    slept: tuple[float, str] | None = None

    @property
    def children(self) -> tuple[Child, ...]:
        """The processes there are, the lead first."""
        return tuple(child for child in (self.lead, self.second) if child)

    def child(self, generation: int) -> Child | None:
        """The process of that spawn, unless it is gone already."""
        return next((child for child in self.children if child.generation == generation), None)

    def failures(self, now: float) -> int:
        """Failures in a row, forgiven once the app has served for a while."""
        lead = self.lead
        settled = lead is not None and lead.served_seconds(now) >= SETTLED_SECONDS
        return 0 if settled else self.failures_in_a_row
