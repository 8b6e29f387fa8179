"""The records the governor keeps: a vassal, and each process that was started for it.

Only governor.py changes them; everybody else may look.
"""

from dataclasses import dataclass

from emperor.model.cause import Boot, Cause
from emperor.model.lifecycle import Event, Move, Role, State
from emperor.model.policy import SETTLED_SECONDS
from emperor.model.ports import Listener, Process, Timer
from emperor.model.spec import Spec, Stamp


@dataclass(slots=True, eq=False)
class Child:
    """A process in one of the two slots. `deadline` is when its `timer` rings, `blame` why the
    daemon itself had to kill it."""

    generation: int
    spec: Spec
    process: Process
    boot: Boot
    role: Role
    timer: Timer | None = None
    deadline: float | None = None
    kill_reason: str | None = None
    respawns: int = 0

    def served_seconds(self, now: float) -> float:
        """For how long it has been accepting."""
        return 0.0 if self.boot.accepting is None else now - self.boot.accepting


@dataclass(slots=True, eq=False)
class Vassal:
    """One domain. Times are monotonic seconds. `queued_for`: who wants the process that its state
    requires and that stands in line, its slot empty, until it is its turn to boot. `stamp`: of the
    ini that `spec` was read from. `bind_failed_at`: when a new bind of its socket failed last."""

    spec: Spec
    listener: Listener
    since: float
    stamp: Stamp | None = None
    state: State = State.PARKED
    lead: Child | None = None
    second: Child | None = None
    pending_event: tuple[Event, Cause] | None = None
    queued_for: Cause | None = None
    throttle: Timer | None = None
    retry_at: float | None = None
    starts: int = 0
    consecutive_failures: int = 0
    last_error: str | None = None
    ini_error: str | None = None
    last_hit: float | None = None
    last_boot: Boot | None = None
    bind_failed_at: float | None = None
    last_stop: tuple[float, str] | None = None

    @property
    def children(self) -> tuple[Child, ...]:
        """The processes there are, the lead first."""
        return tuple(child for child in (self.lead, self.second) if child)

    @property
    def is_queued_to_start(self) -> bool:
        """Whether no app is there, and the process that will be stands in line."""
        return self.state is State.STARTING and self.queued_for is not None

    @property
    def reported_state(self) -> State:
        """As administrators are told: whoever drains is stopping, also when its ini is gone."""
        return State.STOPPING if self.state is State.REMOVED else self.state

    def lose(self, child: Child) -> None:
        """Empty its slot."""
        self.lead = None if self.lead is child else self.lead
        self.second = None if self.second is child else self.second

    def move(self, move: Move) -> None:
        """Move the processes between the two slots."""
        match move:
            case Move.ASIDE:
                self.lead, self.second = None, self.lead
            case Move.SWAP:
                self._lead_with(self.second, self.lead)
            case Move.PROMOTE if self.lead is None:
                self._lead_with(self.second, None)
            case _:
                pass

    def _lead_with(self, lead: Child | None, second: Child | None) -> None:
        self.lead, self.second = lead, second
        if lead:
            self.last_boot = lead.boot

    def child(self, generation: int) -> Child | None:
        """The process of that spawn, unless it is gone already."""
        return next((child for child in self.children if child.generation == generation), None)

    def failures(self, now: float) -> int:
        """Failures in a row, forgiven once the app has served for a while."""
        lead = self.lead
        settled = lead is not None and lead.served_seconds(now) >= SETTLED_SECONDS
        return 0 if settled else self.consecutive_failures
