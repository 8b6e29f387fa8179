"""Tells from the last starts of an app how long its next one will take, for a visitor, and whether
that is slow."""

import math
from collections.abc import Sequence

REMEMBERED_BOOTS = 5
# Visitors notice it.
SLOW_SECONDS = 1.0
_MINUTE = 60


def remembered(boots: Sequence[float], seconds: float) -> tuple[float, ...]:
    """The last boots of an app in seconds, after another one."""
    return (*boots, round(seconds, 2))[-REMEMBERED_BOOTS:]


def usual(boots: Sequence[float]) -> float:
    """How long half of the last boots took at least; 0 without any."""
    # The module statistics would cost each start of the daemon milliseconds.
    return sorted(boots)[len(boots) // 2] if boots else 0.0


def estimate(boots: Sequence[float], elapsed: float | None) -> str:
    """What a waiting page says of the time that is left; empty without an earlier boot. `boots` are
    the last ones in seconds. `elapsed` seconds have passed in this one; None: it waits for its
    turn to begin. The slowest of the last boots counts, since a visitor minds a late page more
    than an early one."""
    if not boots:
        return ""
    slowest = max(boots)
    if elapsed is None:
        return f"Other sites start first. The start itself takes about {_spoken(slowest)}."
    if elapsed > slowest:
        return f"Its last starts took {_spoken(slowest)}; this one takes longer."
    return f"It will take about {_spoken(slowest - elapsed)} more."


def _spoken(seconds: float) -> str:
    whole = max(1, math.ceil(seconds))
    if whole == 1:
        return "a second"
    if whole < 2 * _MINUTE:
        return f"{whole} seconds"
    return f"{math.ceil(whole / _MINUTE)} minutes"
