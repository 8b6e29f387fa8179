"""What each state of a vassal requires of the world: door, listener, processes and timer."""

from dataclasses import dataclass, replace
from enum import Enum

from emperor.model.lifecycle import State


class Role(Enum):
    """What a process in a slot does."""

    BOOTING = "booting"
    SERVING = "serving"
    STOPPING = "stopping"


class Door(Enum):
    """Who may connect to the listener: nginx, or root alone."""

    OPEN = "open"
    CLOSED = "closed"  # under `activation = fallback`
    BARRED = "barred"  # under `activation = socket` too


class Connections(Enum):
    """What the daemon does with a connection that is pending on the listener."""

    LEFT_TO_THE_APP = "left to the app"
    WAKE = "wake"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Posture:
    """What a state requires. `lead` and `second` are the roles of the slots' processes."""

    connections: Connections
    door: Door
    lead: Role | None
    second: Role
    throttle: bool = False


POSTURE: dict[State, Posture] = {
    State.PARKED: Posture(Connections.WAKE, Door.CLOSED, None, Role.STOPPING),
    State.STARTING: Posture(Connections.LEFT_TO_THE_APP, Door.CLOSED, Role.BOOTING, Role.STOPPING),
    State.RUNNING: Posture(Connections.LEFT_TO_THE_APP, Door.OPEN, Role.SERVING, Role.STOPPING),
    State.RELOADING: Posture(Connections.LEFT_TO_THE_APP, Door.OPEN, Role.SERVING, Role.BOOTING),
    State.STOPPING: Posture(Connections.WAKE, Door.CLOSED, Role.STOPPING, Role.STOPPING),
    State.THROTTLED: Posture(Connections.REFUSED, Door.BARRED, None, Role.STOPPING, throttle=True),
    State.REMOVED: Posture(Connections.LEFT_TO_THE_APP, Door.CLOSED, Role.STOPPING, Role.STOPPING),
}


def posture(state: State, has_pending: bool, in_maintenance: bool = False) -> Posture:
    """What `state` requires. A pending event is a demand already: a watch on the listener would
    report its connection without end. Maintenance keeps nginx out under `activation = socket` too.
    A connection is refused once no process of the app is left that might accept it."""
    required = POSTURE[state]
    if in_maintenance and required.lead in (None, Role.STOPPING):
        left = Connections.REFUSED if required.lead is None else Connections.LEFT_TO_THE_APP
        required = replace(required, connections=left, door=Door.BARRED)
    return replace(required, connections=Connections.LEFT_TO_THE_APP) if has_pending else required
