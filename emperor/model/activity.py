"""What `emperorctl top` is told: the vassals that do something, and counts for each tenant.

docs/api.md takes the text below a field as its meaning.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from emperor.model.status import EmperorStatus, ReportedState, VassalStatus

MOST_ROWS = 1000
# The memory of so many is measured at once: it takes the kernel a millisecond for each process.
MOST_MEASURED = 50


@dataclass(frozen=True, slots=True)
class Active:
    """A vassal that does something, or that was asked for."""

    status: VassalStatus
    """the same as in the list of vassals"""
    pss_bytes: int | None
    """its memory; what its processes share with others counts in part; null: not asked for, or it
    has no process"""
    reason: str
    """its error, who woke it or why it sleeps; for people"""


@dataclass(frozen=True, slots=True)
class TenantCounts:
    """How many vassals of a user are in which state."""

    uid: int | None
    """the user that they run as; null: that of emperord"""
    running: int
    """accept requests"""
    starting: int
    """boot, with a process beside or not, or wait for their turn"""
    stopping: int
    """finish their requests and end"""
    throttled: int
    """have failed, and are started again later"""
    napping: int
    """reserved for a later version"""
    parked: int
    """sleep"""
    maintenance: int = 0
    """are in maintenance: visitors get 503, and nothing starts them; counted in no other field"""


@dataclass(frozen=True, slots=True)
class Activity:
    """What happens now."""

    emperor: EmperorStatus
    """the daemon itself"""
    tenants: tuple[TenantCounts, ...]
    """each user with a vassal"""
    vassals: tuple[Active, ...]
    """those that do something or have an error; or, with `match`, those whose name or error has
    that"""
    left_out: int
    """how many more there are than `most`"""


def counts_of(
    uid: int | None, states: Counter[ReportedState], maintenance: int = 0
) -> TenantCounts:
    """The states of the vassals of a user, counted, without those in `maintenance`."""
    return TenantCounts(
        uid,
        running=states[ReportedState.RUNNING],
        starting=states[ReportedState.STARTING] + states[ReportedState.RELOADING],
        stopping=states[ReportedState.STOPPING],
        throttled=states[ReportedState.THROTTLED],
        napping=states[ReportedState.NAPPING],
        parked=states[ReportedState.PARKED],
        maintenance=maintenance,
    )


_COUNTED = tuple(field.name for field in fields(TenantCounts) if field.name != "uid")


def total_of(tenants: Iterable[TenantCounts]) -> Counter[str]:
    """How many vassals are in which state, by the names of the fields."""
    total: Counter[str] = Counter()
    for each in tenants:
        for state in _COUNTED:
            total[state] += getattr(each, state)
    return total
