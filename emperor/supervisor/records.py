"""The records of the supervisor: a vassal, each process that was started for it, its orders.

A record is what is kept for the next daemon (model/snapshot.py) and, beside it, the handles that
only this daemon has: sockets, processes, timers. Only this package changes one; others may read.
"""

from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from enum import Enum
from operator import attrgetter

from emperor.model.cause import Cause
from emperor.model.estimate import SLOW_SECONDS, usual
from emperor.model.lifecycle import MOVING, WAKES, ErrorChange, Event, Move, State
from emperor.model.policy import SETTLED_SECONDS
from emperor.model.ports import Listener, Process, Timer
from emperor.model.posture import Posture, Role
from emperor.model.posture import posture as required_posture
from emperor.model.snapshot import ProcessRecord, VassalRecord
from emperor.model.spec import Spec, Stamp
from emperor.model.status import ReportedState, reported


class Slot(Enum):
    """The places for processes. See model/lifecycle.py."""

    LEAD = "lead"
    SECOND = "second"


class OrderStatus(Enum):
    """What came of an order."""

    DONE = "done"
    FAILED = "failed"
    GONE = "gone"  # the vassal was removed meanwhile


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """What came of an order. `why` explains FAILED and GONE."""

    status: OrderStatus
    why: str = ""


# What becomes of the app is no failure of these orders.
_WANTS_NO_APP = frozenset({Event.IDLE, Event.MAINTENANCE_ON, Event.MAINTENANCE_OFF})


@dataclass(slots=True, eq=False)
class Order:
    """What the operator wants, and where its outcome is told. `failure` is the last one of the
    vassal since the order came."""

    event: Event
    outcome: Future[OrderOutcome] = field(default_factory=Future)
    failure: str | None = None

    def report(self, closed: str | None) -> None:
        """Tell the outcome: the vassal is at rest. `closed`: why its app does not start."""
        failure = None if self.event in _WANTS_NO_APP else self.failure
        if self.event in WAKES:
            failure = closed or failure
        self.tell(OrderStatus.FAILED if failure is not None else OrderStatus.DONE, failure)

    def tell(self, status: OrderStatus, why: str | None) -> None:
        """Tell the outcome, unless nobody waits for it any more."""
        if not self.outcome.cancelled():
            self.outcome.set_result(OrderOutcome(status, why or ""))


class Child(ProcessRecord):
    """A process in one of the two slots; `timer` rings at its `deadline`."""

    __slots__ = ("process", "timer")

    def __init__(self, record: ProcessRecord, process: Process) -> None:
        super().__init__(*_of_process(record))
        self.process = process
        self.timer: Timer | None = None


class Vassal(VassalRecord):
    """The vassal of one domain. `throttle` is the timer that ends at `retry_at`. `has_fault`: a
    fault of emperord ended the last event, so nothing may come of it."""

    __slots__ = ("has_fault", "listener", "orders", "throttle")

    lead: Child | None
    second: Child | None

    def __init__(self, record: VassalRecord, listener: Listener) -> None:
        super().__init__(*_of_vassal(record))
        self.lead = self.second = self.listener_ref = None
        self.throttle: Timer | None = None
        self.orders: tuple[Order, ...] = ()
        self.listener = listener
        self.has_fault = False

    @classmethod
    def new(cls, spec: Spec, listener: Listener, now: float, stamp: Stamp | None) -> "Vassal":
        """A vassal that has just come: parked, without a history."""
        return cls(VassalRecord(spec, now, stamp), listener)

    @property
    def children(self) -> tuple[Child, ...]:
        """The processes there are, the lead first."""
        if self.lead is None and self.second is None:
            return ()  # as of thousands
        return tuple(child for child in (self.lead, self.second) if child)

    @property
    def is_asleep(self) -> bool:
        """Whether it only waits to be woken: no process, and nothing that is still to happen."""
        waits = self.queued_for is not None or self.pending_event is not None
        return self.state is State.PARKED and not (self.lead or self.second or waits)

    @property
    def is_unquestioned(self) -> bool:
        """Whether the version of its ini that is in effect is the newest one, without complaint,
        and its text is known."""
        is_newest = self.failed is None and self.ini_error is None
        return self.state is not State.REMOVED and is_newest and self.text != b""

    def takes_silently(self, stamp: Stamp | None) -> bool:
        """Whether another spec by the ini with that stamp is no event: it is the version in effect
        with other settings, and the app only sleeps."""
        return self.stamp == stamp and self.is_asleep and not self.consecutive_failures

    @property
    def can_overlap(self) -> bool:
        """Whether another process of the app may boot beside the lead."""
        lead = self.lead
        return self.spec.can_boot_beside(lead.spec) if lead else self.spec.overlaps

    @property
    def is_slow(self) -> bool:
        """Whether its visitors usually notice its start."""
        return usual(self.boots) >= SLOW_SECONDS

    @property
    def stays_up(self) -> bool:
        """Whether the app should run now, whatever is asked of it."""
        return self.spec.never_sleeps and not (self.is_put_to_sleep or self.in_maintenance)

    @property
    def posture(self) -> Posture:
        """What its state requires of the world."""
        return required_posture(self.state, self.pending_event is not None, self.in_maintenance)

    @property
    def is_queued_to_start(self) -> bool:
        """Whether there is no app yet, and the process that will be waits for its turn to boot."""
        return self.state is State.STARTING and self.queued_for is not None

    @property
    def reported_state(self) -> ReportedState:
        """The state as administrators are told."""
        return reported(self.state)

    def set_error(self, why: str | None, *, is_limit: bool = False) -> None:
        """Replace the last error; `is_limit`: a worker has died by a limit."""
        self.last_error, self.last_error_is_limit = why, is_limit

    def note_error(self, change: ErrorChange, why: str) -> None:
        """Change the last error after an event with the reason `why`."""
        match change:
            case ErrorChange.SET:
                self.set_error(why)
            case ErrorChange.CLEARED:
                self.set_error(None)
            case ErrorChange.KEPT:
                pass

    def note_failure_of_orders(self, why: str | None) -> None:
        """Note why the orders under way have failed; None: they have not."""
        for order in self.orders:
            order.failure = why

    def report_orders(self, fault: str | None = None) -> None:
        """Tell the outcome of all orders: the vassal is at rest, or gone, or a fault ended it."""
        orders, self.orders = self.orders, ()
        closed = None
        if self.in_maintenance:
            end = f"emperorctl maintenance {self.spec.domain} off"
            closed = f"it is in maintenance, which `{end}` ends"
        for order in orders:
            if fault:
                order.tell(OrderStatus.FAILED, fault)
            elif self.state is State.REMOVED:
                order.tell(OrderStatus.GONE, self.last_stop.why if self.last_stop else None)
            else:
                order.report(closed)

    def report_orders_at_rest(self) -> None:
        """Tell the outcome of all orders, if they are carried out."""
        if self.orders and self.state not in MOVING and self.pending_event is None:
            self.report_orders()

    def empty_slot(self, posture: Posture) -> Slot | None:
        """The slot in which a process should boot and none is."""
        if posture.lead is Role.BOOTING and self.lead is None:
            return Slot.LEAD
        if posture.second is Role.BOOTING and self.second is None:
            return Slot.SECOND
        return None

    def put(self, child: Child, slot: Slot) -> None:
        """Fill a slot."""
        if slot is Slot.LEAD:
            self.lead = child
        else:
            self.second = child

    def lose(self, child: Child) -> None:
        """Empty the slot of that process."""
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


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event of one vassal, and why. The log tells `detail` where there is one, or else the
    cause. `child` is the process that it is about."""

    vassal: Vassal
    event: Event
    cause: Cause
    detail: str = ""
    child: Child | None = None

    @classmethod
    def of_always_on(cls, vassal: Vassal, now: float) -> "Occurrence":
        """An app that runs always is not running."""
        return cls(vassal, Event.DEMAND, Cause.always("it runs always", now))

    @property
    def why(self) -> str:
        """The detail, or else the cause, in words."""
        return self.detail or str(self.cause)


# What the constructors of the records take, in their order: a daemon may take over thousands.
_of_process = attrgetter(*(field.name for field in fields(ProcessRecord)))
_of_vassal = attrgetter(*(field.name for field in fields(VassalRecord)))
