"""Plots as numbers: where each bar stands. The templates write them as SVG, with no style in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from emperor.model.cause import VISITORS
from emperor.model.history import (
    Hour,
    Minute,
    PastStart,
    Phase,
    StartOutcome,
    phases_of,
)
from emperor.model.status import Wake
from emperor.model.text import took

WIDTH, HEIGHT = 600, 80
_GAP = 1
# A bar of something is seen, however small it is.
_LEAST = 2
_MOST_WAKES = 60
# Of a start that failed, whose length nobody waited for.
_MARK = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle. `kind` is a class of the style sheet, and `title` says what it stands for."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """The name of a place on the axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Bars, names under them, what the whole height stands for (empty: there are no bars that it
    measures), and all of it in a sentence."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    top: str
    summary: str


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, as a pair of bars: starts, and how many of these things failed."""

    at: datetime
    starts: int
    failures: int


def spans(
    counted: Iterable[Hour] | Iterable[Minute], end: datetime, step: timedelta, number: int
) -> tuple[Span, ...]:
    """The last `number` stretches of a length of `step`, also those in which nothing happened. The
    last one has `end` in it."""
    seconds = step.total_seconds()
    last = int(end.timestamp() // seconds)
    found = {int(each.at.timestamp() // seconds): each for each in counted}
    return tuple(
        Span(
            datetime.fromtimestamp(place * seconds, end.tzinfo),
            found[place].starts if place in found else 0,
            found[place].failures if place in found else 0,
        )
        for place in range(last - number + 1, last + 1)
    )


def starts_plot(found: Sequence[Span], every: int, what: str) -> Plot:
    """Starts, with failures before them. Every so manieth span has its time under it."""
    most = max((max(span.starts, span.failures) for span in found), default=0)
    step = WIDTH / max(1, len(found))
    bars: list[Bar] = []
    for place, span in enumerate(found):
        title = f"{_time(span.at)}: {_count(span.starts, 'start')}, {span.failures} failed"
        for number, kind in ((span.starts, "starts"), (span.failures, "failures")):
            if number:
                height = _height(number, most)
                bars.append(_bar(place * step, step - _GAP, height, kind, title))
    ticks = tuple(
        Tick(round(place * step, 1), _time(span.at))
        for place, span in enumerate(found)
        if place % every == 0
    )
    starts, failures = sum(s.starts for s in found), sum(s.failures for s in found)
    summary = f"{what}: {_count(starts, 'start')}, {_count(failures, 'failure')}"
    busiest = max(found, key=lambda span: span.starts, default=None)
    if busiest and busiest.starts:
        summary += f"; most of them at {_time(busiest.at)}: {busiest.starts}"
    return Plot(tuple(bars), ticks, str(most) if most else "", summary)


def wakes_plot(starts: Sequence[PastStart]) -> Plot | None:
    """How long each of the last visitors waited for the app; None: there was none."""
    wakes = [start for start in starts if start.cause in VISITORS][-_MOST_WAKES:]
    waits = [(start, _waited(start)) for start in wakes]
    if not waits:
        return None
    accepted = [wait for start, wait in waits if start.outcome is StartOutcome.ACCEPTED]
    most = max(accepted, default=0.0)
    step = min(WIDTH / len(waits), WIDTH / 12)
    bars = tuple(
        _bar(
            place * step,
            step - _GAP,
            _MARK if start.outcome is StartOutcome.FAILED else _height(wait, most),
            "failures" if start.outcome is StartOutcome.FAILED else "starts",
            f"{start.wake.at.astimezone():%Y-%m-%d %H:%M:%S}: {_told(start, wait)}",
        )
        for place, (start, wait) in enumerate(waits)
        if wait or start.outcome is StartOutcome.FAILED
    )
    failed = sum(start.outcome is StartOutcome.FAILED for start, _ in waits)
    summary = "The last wake" if len(waits) == 1 else f"The last {len(waits)} wakes"
    if len(accepted) > 1:
        half = median(accepted)
        summary += f": half of them within {took(half)}, the longest {took(most)}"
    elif accepted:
        summary += f": {took(accepted[0])}"
    if failed:
        summary += f"; {failed} failed"
    return Plot(bars, (), took(most) if most else "", summary)


def _waited(start: PastStart) -> float:
    """Milliseconds until the app accepted, or as far as it came."""
    return sum(spent for phase, spent in phases_of(start.wake) if phase is not Phase.FIRST_REPLY)


def _told(start: PastStart, wait: float) -> str:
    if start.outcome is StartOutcome.FAILED:
        return "it failed"
    return took(wait)


@dataclass(frozen=True, slots=True)
class PhasePart:
    """A phase of a start: where it stands in a bar of the whole width, and how long it took."""

    phase: str
    x: float
    width: float
    took: str


def phase_bar(wake: Wake, longest: float) -> tuple[PhasePart, ...]:
    """The phases of a start side by side. The whole width stands for `longest` milliseconds."""
    found = phases_of(wake)
    parts: list[PhasePart] = []
    x = 0.0
    for phase, spent in found:
        width = WIDTH * spent / longest if longest else 0.0
        parts.append(PhasePart(phase.value, round(x, 1), round(width, 1), took(spent)))
        x += width
    return tuple(parts)


def share(part: float, whole: float) -> float:
    """The width of a bar for a part of a whole, in a bar of 100."""
    return round(100 * part / whole, 1) if whole else 0.0


def _bar(x: float, width: float, height: float, kind: str, title: str) -> Bar:
    return Bar(round(x, 1), round(HEIGHT - height, 1), round(width, 1), height, kind, title)


def _height(number: float, most: float) -> float:
    return round(max(_LEAST, HEIGHT * number / most), 1) if most else 0.0


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
