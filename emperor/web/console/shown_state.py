"""In which state the console shows and counts a vassal.

The API tells what a vassal does (model/status.py). A reader asks who is down, and who is closed: an
app that has failed is `throttled` until its delay has passed and `parked` then, and a site in
maintenance is `parked` too. The console counts each vassal in one of these states.
"""

from enum import Enum

from emperor.model.lifecycle import State
from emperor.supervisor.records import Vassal


class ShownState(Enum):
    """The states in the order in which the pages have them: what needs a person or moves first."""

    FAILED = "failed"
    """its last start failed, or it died: no process, whether visitors may start it again or not"""
    STARTING = "starting"
    RELOADING = "reloading"
    RUNNING = "running"
    STOPPING = "stopping"
    MAINTENANCE = "maintenance"
    """visitors get 503, and nothing starts it"""
    PARKED = "parked"


def shown_state(vassal: Vassal) -> ShownState:
    """The state of a vassal for a reader."""
    if vassal.in_maintenance:
        return ShownState.MAINTENANCE
    if vassal.state is State.PARKED:
        return ShownState.PARKED if vassal.last_error is None else ShownState.FAILED
    if vassal.state is State.THROTTLED:
        return ShownState.FAILED
    return ShownState(vassal.reported_state.value)
