"""Decides which version of its ini is in effect for a vassal: the newest one, or the last good one
because the newest does not start. These rules stand beside the table of model/lifecycle.py.

A version is good once a process by it has accepted. Each version fails once: where the good one
fails too, the newest one is in effect again, and no other is kept. So an app whose code is broken
is throttled as usual, and the two versions do not boot by turns.
"""

from dataclasses import replace
from enum import Enum

from emperor.model.lifecycle import PARDONS, Decision, Event, State
from emperor.model.posture import POSTURE, Role


class Versions(Enum):
    """Which versions of its ini a vassal has."""

    ONE = "one"
    MAY_FALL_BACK = "may fall back"  # the newest is in effect, and an older one is good
    FELL_BACK = "fell back"  # the good one is in effect, since the newest failed


class Turn(Enum):
    """What an event changes in that."""

    NONE = "none"
    PROVEN = "proven"  # the version in effect has accepted
    FALL_BACK = "fall back"  # the good version is in effect again
    GIVE_UP = "give up"  # the newest version is in effect again, and the good one is forgotten


# A process has ended before it accepted. It ran by the version that is in effect.
FAILED_BOOTS = frozenset({(State.STARTING, Event.FAILED), (State.RELOADING, Event.SECOND_EXITED)})


def turn(state: State, event: Event, versions: Versions) -> Turn:
    """What `event` changes in the versions of a vassal. A failed successor is no reason to give the
    good version up, since another process serves by it."""
    if event is Event.ACCEPTING:
        return Turn.PROVEN
    if (state, event) in FAILED_BOOTS and versions is Versions.MAY_FALL_BACK:
        return Turn.FALL_BACK
    if (state, event) == (State.STARTING, Event.FAILED) and versions is Versions.FELL_BACK:
        return Turn.GIVE_UP
    return Turn.NONE


def boots_good_version(decision: Decision) -> Decision:
    """The decision after a fallback: the good version boots at once where a throttle would begin,
    since somebody waits for the app."""
    is_throttled = decision.to is State.THROTTLED
    return replace(decision, to=State.STARTING) if is_throttled else decision


def tries_newest(state: State, event: Event) -> bool:
    """Whether an order of the operator puts the newest version into effect again, after it failed.
    A start of an app that boots or serves does nothing."""
    is_up = POSTURE[state].lead in (Role.BOOTING, Role.SERVING)
    return event in PARDONS and not (event is Event.START and is_up)
