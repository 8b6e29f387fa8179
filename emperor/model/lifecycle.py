"""The life of a vassal: which state follows which event.

This file is the whole state machine. It decides and touches nothing: `decide` looks up a cell of
the table and adds the rules that hold in every cell. The supervisor then makes the world agree with
the *posture* of the new state (model/posture.py). Effects are the difference of two postures, so no
row can forget a timer, a watch or a signal.

A vassal has two slots for processes and never more. The `lead` boots, serves or stops. The
`second` is the successor that boots beside a serving lead (in RELOADING), and in every other
state a predecessor that stops. Both hold the same listener.

A process leaves its slot only by its exit, so a signal that was sent is never taken for a death.
A process may be queued before it boots. Its slot is empty until its turn comes, and nothing has to
be stopped.
"""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    PARKED = "parked"
    STARTING = "starting"
    RUNNING = "running"
    RELOADING = "reloading"
    STOPPING = "stopping"
    THROTTLED = "throttled"
    REMOVED = "removed"


class Event(Enum):
    DEMAND = "demand"
    START = "start"
    RESTART = "restart"
    REVISED = "revised"
    IDLE = "idle"
    REMOVED = "removed"
    TURN = "turn"
    ACCEPTING = "accepting"
    DEADLINE = "deadline"
    PARDON = "pardon"
    EXITED = "exited"
    ENDED = "ended"
    FAILED = "failed"
    SECOND_EXITED = "second-exited"
    MAINTENANCE_ON = "maintenance-on"
    MAINTENANCE_OFF = "maintenance-off"


class Move(Enum):
    """What happens to the two slots before the new posture is applied."""

    STAY = "stay"
    ASIDE = "aside"  # the lead becomes the predecessor and leaves the lead's slot empty
    SWAP = "swap"  # the successor leads, the old lead becomes the predecessor
    PROMOTE = "promote"  # the lead is gone, the second takes its slot


class Room(Enum):
    """Whether a second process may be started now."""

    FREE = "free"
    TAKEN = "taken"  # a predecessor still stops
    SINGLE = "single"  # this app cannot run twice (`on-change = restart`)


@dataclass(frozen=True, slots=True)
class Transition:
    """One cell. `owes` is an event that is pending until a process has left its slot."""

    to: State
    move: Move = Move.STAY
    owes: Event | None = None


@dataclass(frozen=True, slots=True)
class ByRoom:
    """A cell that depends on whether a second process may be started."""

    free: Transition
    taken: Transition
    single: Transition

    def __getitem__(self, room: Room) -> Transition:
        return {Room.FREE: self.free, Room.TAKEN: self.taken, Room.SINGLE: self.single}[room]


@dataclass(frozen=True, slots=True)
class ByQueue:
    """A cell that depends on whether the process boots already or is still queued."""

    booting: Transition
    queued: Transition | ByRoom


class NoTransition(Enum):
    """A cell without a transition."""

    IGNORED = "ignored"
    ILLEGAL = "illegal"


Cell = Transition | ByRoom | ByQueue | NoTransition


class IllegalEvent(Exception):
    """The table has no place for this event in this state; nothing was changed."""


def _to(state: State, move: Move = Move.STAY, owes: Event | None = None) -> Transition:
    return Transition(state, move, owes)


_IGNORED = NoTransition.IGNORED
_ILLEGAL = NoTransition.ILLEGAL
_STOP_THEN_START = _to(State.STOPPING, owes=Event.DEMAND)
_STOP_THEN_START_UNLESS_QUEUED = ByQueue(booting=_STOP_THEN_START, queued=_to(State.STARTING))
_STOP_OR_LEAVE_QUEUE = ByQueue(booting=_to(State.STOPPING), queued=_to(State.PARKED))
_WAKE_WHILE_STOPPING = ByRoom(
    free=_to(State.STARTING, Move.ASIDE), taken=_STOP_THEN_START, single=_STOP_THEN_START
)

TABLE: dict[State, dict[Event, Cell]] = {
    State.PARKED: {
        Event.DEMAND: _to(State.STARTING),
        Event.START: _to(State.STARTING),
        Event.RESTART: _to(State.STARTING),
        Event.REVISED: _to(State.PARKED),
        Event.IDLE: _IGNORED,
        Event.REMOVED: _to(State.REMOVED, Move.PROMOTE),
        Event.TURN: _ILLEGAL,
        Event.ACCEPTING: _ILLEGAL,
        Event.DEADLINE: _to(State.PARKED),
        Event.PARDON: _ILLEGAL,
        Event.EXITED: _ILLEGAL,
        Event.ENDED: _ILLEGAL,
        Event.FAILED: _ILLEGAL,
        Event.SECOND_EXITED: _to(State.PARKED),
        Event.MAINTENANCE_ON: _to(State.PARKED),
        Event.MAINTENANCE_OFF: _to(State.PARKED),
    },
    State.STARTING: {
        Event.DEMAND: _IGNORED,
        Event.START: _IGNORED,
        Event.RESTART: _STOP_THEN_START_UNLESS_QUEUED,
        Event.REVISED: _STOP_THEN_START_UNLESS_QUEUED,
        Event.IDLE: _STOP_OR_LEAVE_QUEUE,
        Event.REMOVED: _to(State.REMOVED, Move.PROMOTE),
        Event.TURN: _to(State.STARTING),
        Event.ACCEPTING: _to(State.RUNNING),
        Event.DEADLINE: _to(State.STARTING),
        Event.PARDON: _ILLEGAL,
        Event.EXITED: _ILLEGAL,
        Event.ENDED: _to(State.STARTING),
        Event.FAILED: _to(State.THROTTLED),
        Event.SECOND_EXITED: _to(State.STARTING),
        Event.MAINTENANCE_ON: _STOP_OR_LEAVE_QUEUE,
        Event.MAINTENANCE_OFF: _IGNORED,
    },
    State.RUNNING: {
        Event.DEMAND: _IGNORED,
        Event.START: _IGNORED,
        Event.RESTART: _STOP_THEN_START,
        Event.REVISED: ByRoom(
            free=_to(State.RELOADING),
            taken=_to(State.RUNNING, owes=Event.REVISED),
            single=_STOP_THEN_START,
        ),
        Event.IDLE: _to(State.STOPPING),
        Event.REMOVED: _to(State.REMOVED),
        Event.TURN: _ILLEGAL,
        Event.ACCEPTING: _ILLEGAL,
        Event.DEADLINE: _to(State.RUNNING),
        Event.PARDON: _ILLEGAL,
        Event.EXITED: _to(State.PARKED),
        Event.ENDED: _to(State.PARKED),
        Event.FAILED: _to(State.THROTTLED),
        Event.SECOND_EXITED: _to(State.RUNNING),
        Event.MAINTENANCE_ON: _to(State.STOPPING),
        Event.MAINTENANCE_OFF: _IGNORED,
    },
    State.RELOADING: {
        Event.DEMAND: _IGNORED,
        Event.START: _IGNORED,
        Event.RESTART: _STOP_THEN_START,
        Event.REVISED: ByQueue(
            booting=_to(State.RUNNING, owes=Event.REVISED),
            queued=ByRoom(
                free=_to(State.RELOADING), taken=_to(State.RELOADING), single=_STOP_THEN_START
            ),
        ),
        Event.IDLE: _to(State.STOPPING),
        Event.REMOVED: _to(State.REMOVED),
        Event.TURN: _to(State.RELOADING),
        Event.ACCEPTING: _to(State.RUNNING, Move.SWAP),
        Event.DEADLINE: _to(State.RELOADING),
        Event.PARDON: _ILLEGAL,
        Event.EXITED: _to(State.STARTING, Move.PROMOTE),
        Event.ENDED: _to(State.STARTING, Move.PROMOTE),
        Event.FAILED: _ILLEGAL,
        Event.SECOND_EXITED: _to(State.RUNNING),
        Event.MAINTENANCE_ON: _to(State.STOPPING),
        Event.MAINTENANCE_OFF: _IGNORED,
    },
    State.STOPPING: {
        Event.DEMAND: _WAKE_WHILE_STOPPING,
        Event.START: _WAKE_WHILE_STOPPING,
        Event.RESTART: _WAKE_WHILE_STOPPING,
        Event.REVISED: _IGNORED,
        Event.IDLE: _to(State.STOPPING),
        Event.REMOVED: _to(State.REMOVED),
        Event.TURN: _ILLEGAL,
        Event.ACCEPTING: _ILLEGAL,
        Event.DEADLINE: _to(State.STOPPING),
        Event.PARDON: _ILLEGAL,
        Event.EXITED: _to(State.PARKED),
        Event.ENDED: _ILLEGAL,
        Event.FAILED: _ILLEGAL,
        Event.SECOND_EXITED: _to(State.STOPPING),
        Event.MAINTENANCE_ON: _to(State.STOPPING),
        Event.MAINTENANCE_OFF: _to(State.STOPPING),
    },
    State.THROTTLED: {
        Event.DEMAND: _IGNORED,
        Event.START: _to(State.STARTING),
        Event.RESTART: _to(State.STARTING),
        Event.REVISED: _to(State.PARKED),
        Event.IDLE: _IGNORED,
        Event.REMOVED: _to(State.REMOVED, Move.PROMOTE),
        Event.TURN: _ILLEGAL,
        Event.ACCEPTING: _ILLEGAL,
        Event.DEADLINE: _to(State.THROTTLED),
        Event.PARDON: _to(State.PARKED),
        Event.EXITED: _ILLEGAL,
        Event.ENDED: _ILLEGAL,
        Event.FAILED: _ILLEGAL,
        Event.SECOND_EXITED: _to(State.THROTTLED),
        Event.MAINTENANCE_ON: _to(State.PARKED),
        Event.MAINTENANCE_OFF: _IGNORED,
    },
    State.REMOVED: {
        Event.DEMAND: _IGNORED,
        Event.START: _IGNORED,
        Event.RESTART: _IGNORED,
        Event.REVISED: _to(State.STOPPING),
        Event.IDLE: _IGNORED,
        Event.REMOVED: _IGNORED,
        Event.TURN: _ILLEGAL,
        Event.ACCEPTING: _ILLEGAL,
        Event.DEADLINE: _to(State.REMOVED),
        Event.PARDON: _ILLEGAL,
        Event.EXITED: _to(State.REMOVED, Move.PROMOTE),
        Event.ENDED: _ILLEGAL,
        Event.FAILED: _ILLEGAL,
        Event.SECOND_EXITED: _to(State.REMOVED),
        Event.MAINTENANCE_ON: _IGNORED,
        Event.MAINTENANCE_OFF: _IGNORED,
    },
}

# Rules that hold in every cell, beside the table.

# A process has left its slot: a pending event may now find the room that it waited for.
DEPARTURES = frozenset({Event.EXITED, Event.ENDED, Event.FAILED, Event.SECOND_EXITED})
# Failures in a row count from zero again.
PARDONS = frozenset({Event.START, Event.RESTART, Event.REVISED, Event.MAINTENANCE_OFF})
# A pending event stays pending: the process is killed, and has not left its slot yet.
KEEPS_PENDING = frozenset({Event.DEADLINE})
# Who enters one of these is stopping: when and why is noted.
STOPS = frozenset({State.STOPPING, State.REMOVED})
# An app serves in these.
SERVING = frozenset({State.RUNNING, State.RELOADING})
# The operator, or an eviction, puts an app to sleep by the first; it is wanted again by the others.
PUTS_TO_SLEEP = frozenset({Event.IDLE})
WAKES = frozenset({Event.DEMAND, Event.START, Event.RESTART})
# These change nothing while a vassal is in maintenance, and the others while it is not.
NOT_IN_MAINTENANCE = WAKES | {Event.MAINTENANCE_ON}
ONLY_IN_MAINTENANCE = frozenset({Event.MAINTENANCE_OFF})
# A process that ends in one of these was not told so by the daemon.
ENDS_EARLY = frozenset({State.STARTING, State.RUNNING, State.RELOADING})
# An app that never sleeps (`always = true`) is started again here, unless it was put to sleep.
RESTS = frozenset({State.PARKED})
# A process is on its way up or down in these, so an order is not carried out yet.
MOVING = frozenset({State.STARTING, State.STOPPING, State.RELOADING})


class PendingChange(Enum):
    """What becomes of the event that waits until a process has left its slot."""

    KEPT = "kept"
    RELEASED = "released"  # it is handled next
    REPLACED = "replaced"  # by what the transition owes, if anything


class ErrorChange(Enum):
    """What becomes of the last error of the vassal, and of the orders under way."""

    KEPT = "kept"
    SET = "set"  # to the reason of the event
    CLEARED = "cleared"  # the app accepts, so earlier errors are over


_PENDING = {
    **dict.fromkeys(DEPARTURES, PendingChange.RELEASED),
    **dict.fromkeys(KEEPS_PENDING, PendingChange.KEPT),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """All that follows from one event. `to`, `move` and `owes` come from the table."""

    to: State
    move: Move
    owes: Event | None
    pending: PendingChange
    last_error: ErrorChange
    pardons: bool  # failures in a row count from zero again
    notes_stop: bool  # the app stops or has died, so when and why is noted
    is_warning: bool  # an administrator should look at it
    wakes_again: bool  # the app never sleeps, and a demand follows
    answers_queue: bool  # no app will accept what waits on the listener: maintenance has begun


@dataclass(frozen=True, slots=True)
class Conditions:
    """What else counts for a decision. `is_queued`: the process that should boot waits for its
    turn. `stays_up`: the app should never sleep, and was not put to sleep. `in_maintenance`: the
    vassal was in maintenance before the event."""

    is_queued: bool = False
    stays_up: bool = False
    in_maintenance: bool = False


def decide(
    state: State, event: Event, room: Room, conditions: Conditions = Conditions()
) -> Decision | None:
    """What follows from `event`, or None where it is ignored.

    Raises IllegalEvent for a cell that cannot happen, so that a bug in the caller stops at the
    one vassal it concerns.
    """
    transition = step(state, event, room, conditions.is_queued)
    ignored = NOT_IN_MAINTENANCE if conditions.in_maintenance else ONLY_IN_MAINTENANCE
    if transition is None or event in ignored:
        return None
    is_closed = is_in_maintenance(conditions.in_maintenance, event) and transition.to in RESTS
    has_died = state in SERVING and event in (Event.EXITED, Event.ENDED, Event.FAILED)
    successor_failed = event is Event.SECOND_EXITED and state is State.RELOADING
    is_error = event is Event.FAILED or successor_failed or (has_died and event is Event.EXITED)
    otherwise = ErrorChange.CLEARED if event is Event.ACCEPTING else ErrorChange.KEPT
    return Decision(
        to=transition.to,
        move=transition.move,
        owes=transition.owes,
        pending=_PENDING.get(event, PendingChange.REPLACED),
        last_error=ErrorChange.SET if is_error else otherwise,
        pardons=event in PARDONS or (has_died and event is not Event.FAILED),
        notes_stop=has_died or (transition.to in STOPS and transition.to is not state),
        is_warning=is_error or event is Event.DEADLINE,
        wakes_again=conditions.stays_up and transition.to in RESTS and not is_closed,
        answers_queue=is_closed and (state not in RESTS or event is Event.MAINTENANCE_ON),
    )


def is_put_to_sleep(before: bool, in_maintenance: bool, event: Event) -> bool:
    """Whether the app shall sleep after `event`, even if its ini says that it never does. The end
    of a maintenance ends that too."""
    is_over = event in WAKES or (in_maintenance and event is Event.MAINTENANCE_OFF)
    return event in PUTS_TO_SLEEP or (before and not is_over)


def is_in_maintenance(before: bool, event: Event) -> bool:
    """Whether visitors get the page of maintenance after `event`."""
    return event is Event.MAINTENANCE_ON or (before and event is not Event.MAINTENANCE_OFF)


def step(state: State, event: Event, room: Room, is_queued: bool = False) -> Transition | None:
    """The cell of the table for `event`, or None where it is ignored. Raises IllegalEvent."""
    cell = TABLE[state][event]
    if isinstance(cell, ByQueue):
        cell = cell.queued if is_queued else cell.booting
    if isinstance(cell, ByRoom):
        return cell[room]
    if isinstance(cell, Transition):
        return cell
    if cell is NoTransition.IGNORED:
        return None
    raise IllegalEvent(f"cannot take {event.value!r} while {state.value}")


def room(overlaps: bool, second_present: bool) -> Room:
    """Whether a second process may be started beside the lead."""
    if not overlaps:
        return Room.SINGLE
    return Room.TAKEN if second_present else Room.FREE
