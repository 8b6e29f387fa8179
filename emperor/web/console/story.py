"""The story of one vassal: its starts and stops, in few entries."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from emperor.model.history import (
    PastStart,
    PastStop,
    StartOutcome,
    StopKind,
    VassalHistory,
    phases_of,
)
from emperor.model.status import ReportedState, VassalDetail, Wake
from emperor.model.text import clock, duration, took
from emperor.model.wake_text import WOKEN_BY
from emperor.web.console.plots import PhasePart, phase_bar

MOST_ENTRIES = 40
# An order or a change has a process stopped and the next one started for the same reason.
_SAME_ORDER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who wanted the app, as far as nginx told. `ids` name the request in other logs."""

    cause: str
    request: str
    client: str
    agent: str
    ids: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in the story of a vassal. `kind` is a class of the style sheet. `times` and `first`
    tell how often the same has happened without a break, and since when."""

    at: datetime
    kind: str
    title: str
    text: str = ""
    visitor: Visitor | None = None
    phases: tuple[PhasePart, ...] = ()
    took: str = ""
    times: int = 1
    first: datetime | None = None


def visitor_of(wake: Wake) -> Visitor:
    """Who wanted the app."""
    request = f"{wake.method} {wake.path}" if wake.method and wake.path else ""
    ids = [f"request {wake.request_id}"] if wake.request_id else []
    ids += [f"trace {wake.traceparent}"] if wake.traceparent else []
    return Visitor(
        cause=WOKEN_BY.get(wake.by, wake.by),
        request=request,
        client=wake.client or "",
        agent=wake.agent or "",
        ids=", ".join(ids),
    )


_STARTS = {
    StartOutcome.ACCEPTED: ("started", "started"),
    StartOutcome.FAILED: ("failed", "start failed"),
    StartOutcome.ABANDONED: ("abandoned", "start abandoned"),
}


def started(start: PastStart, longest: float) -> Entry:
    """A start of the past. A bar of the whole width stands for `longest`, in milliseconds."""
    kind, title = _STARTS[start.outcome]
    text = start.started or ""
    if start.outcome is StartOutcome.FAILED:
        text = start.error or ""
    elif start.outcome is StartOutcome.ABANDONED:
        text = "it was told to stop before it accepted"
    accepted = start.outcome is StartOutcome.ACCEPTED and start.wake.accepting_ms is not None
    return Entry(
        start.wake.at,
        kind,
        title,
        text,
        visitor_of(start.wake),
        phase_bar(start.wake, longest) if start.outcome is not StartOutcome.FAILED else (),
        took=took(start.wake.accepting_ms or 0.0) if accepted else "",
    )


_STOPS = {
    StopKind.STOPPED: ("slept", "put to sleep"),
    StopKind.ENDED: ("slept", "ended"),
    StopKind.DIED: ("failed", "died"),
}


def stopped(stop: PastStop) -> Entry:
    """An end of the service."""
    kind, title = _STOPS[stop.kind]
    return Entry(
        stop.at, kind, title, f"{stop.reason}; it had served for {duration(stop.served_seconds)}"
    )


def story(detail: VassalDetail, history: VassalHistory) -> tuple[Entry, ...]:
    """What happened to a vassal, the latest first."""
    wake = detail.wake
    wakes = [each.wake for each in history.starts if each.outcome is not StartOutcome.FAILED]
    longest = max((_length(each) for each in (*wakes, *([wake] if wake else []))), default=0.0)
    entries = _with_restarts(history, longest)
    known = {start.wake.at for start in history.starts}
    boots = detail.status.state in (ReportedState.STARTING, ReportedState.RELOADING)
    # The history has a start when it has ended.
    if boots and wake and wake.at not in known:
        # A bar of the phases that have ended would look like a whole start.
        entries.append(Entry(wake.at, "started", "starts now", "", visitor_of(wake)))
    if history.why_none is not None:
        entries += _last_ones(detail, boots, longest)
    entries.sort(key=lambda entry: entry.at, reverse=True)
    return tuple(folded(entries)[:MOST_ENTRIES])


def _last_ones(detail: VassalDetail, boots: bool, longest: float) -> list[Entry]:
    """The last start and stop, which the daemon knows without a history."""
    wake, stop, entries = detail.wake, detail.last_stop, []
    restart = bool(wake and stop and _is_same_order(stop.reason, stop.at, wake))
    if wake and not boots:
        error = detail.status.last_error
        failed = error is not None and wake.accepting_ms is None
        kind, title = _STARTS[StartOutcome.FAILED if failed else StartOutcome.ACCEPTED]
        entry = Entry(
            wake.at, kind, "restarted" if restart and not failed else title,
            (error or "") if failed else "", visitor_of(wake),
            () if failed else phase_bar(wake, longest),
        )  # fmt: skip
        entries.append(entry)
    if stop and not restart:
        entries.append(Entry(stop.at, "slept", "stopped", stop.reason))
    return entries


def _length(wake: Wake) -> float:
    return sum(took for _, took in phases_of(wake))


def _with_restarts(history: VassalHistory, longest: float) -> list[Entry]:
    """Starts and stops, of which those that belong to the same restart are one."""
    entries: list[Entry] = []
    stops = list(history.stops)
    for start in history.starts:
        entry = started(start, longest)
        stop = next((each for each in stops if _is_restart(each, start)), None)
        if stop is not None:
            stops.remove(stop)
            served = f"it had served for {duration(stop.served_seconds)}"
            text = f"{entry.text}; {served}" if entry.text else served
            title = "restarted" if entry.kind == "started" else f"restart: {entry.title}"
            entry = replace(entry, title=title, text=text)
        entries.append(entry)
    return [*entries, *map(stopped, stops)]


def _is_restart(stop: PastStop, start: PastStart) -> bool:
    return stop.kind is StopKind.STOPPED and _is_same_order(stop.reason, stop.at, start.wake)


def _is_same_order(reason: str, at: datetime, wake: Wake) -> bool:
    return reason == wake.by and abs(at - wake.at) < _SAME_ORDER


def folded(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, of which failures that follow each other and are equal are one: the latest."""
    found: list[Entry] = []
    for entry in entries:
        last = found[-1] if found else None
        if last and entry.kind == "failed" and _text(last) == _text(entry):
            found[-1] = replace(last, times=last.times + 1, first=entry.at)
        else:
            found.append(entry)
    return found


def _text(entry: Entry) -> tuple[str, str, str]:
    return entry.kind, entry.title, entry.text


def latest(entries: Iterable[Entry]) -> str:
    """What happened last to a vassal, in a sentence; empty: nothing."""
    entry = next(iter(entries), None)
    if entry is None:
        return ""
    text = f"{entry.title} {clock(entry.at)}"
    if entry.visitor:
        text += f", by {entry.visitor.cause}"
    return f"{text}, accepted after {entry.took}" if entry.took else text
