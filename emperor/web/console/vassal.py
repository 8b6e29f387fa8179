"""The page of one vassal: its facts, its story, its limits, and what it can be ordered to do."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from emperor.model.authority import Caller, Operation, Verdict
from emperor.model.facts import facts
from emperor.model.history import (
    Outcome,
    PastStart,
    PastStop,
    Phase,
    StopKind,
    VassalHistory,
    phases_of,
)
from emperor.model.limits import LIMITS, Limit, Limits
from emperor.model.status import AppHits, ReportedState, VassalDetail, VassalStatus, Wake
from emperor.model.text import duration, memory
from emperor.model.wake import WOKEN_BY
from emperor.web.console.ini_view import IniView
from emperor.web.console.orders import ORDERS, OrderText
from emperor.web.console.plots import Part, Plot, phase_bar, wakes_plot

MOST_ENTRIES = 40
LAST_STARTS = 10
PAST_STARTS = 60


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
    """Something in the story of a vassal. `kind` is a class of the style sheet."""

    at: datetime
    kind: str
    title: str
    text: str = ""
    visitor: Visitor | None = None
    phases: tuple[Part, ...] = ()
    took: str = ""


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit of an app: its value for the app, and for all apps of its user together; and how
    often processes of this app have reached one of the two, and when last."""

    name: str
    of_app: str
    of_tenant: str
    hits: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class VassalPage:
    """The page. `slow` says why it starts slowly; empty: it does not. `log` is None where there is
    none that the caller may read."""

    detail: VassalDetail
    slow: str
    facts: tuple[tuple[str, str], ...]
    orders: tuple[OrderText, ...]
    entries: tuple[Entry, ...]
    why_no_history: str | None
    wakes: Plot | None
    log: tuple[str, ...] | None
    ini: IniView
    limits: tuple[LimitRow, ...]
    ordered: OrderText | None

    @property
    def status(self) -> VassalStatus:
        """The row of the vassal in the list."""
        return self.detail.status


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


def started(start: PastStart) -> Entry:
    """A start of the past."""
    phases = phase_bar(start.wake)
    visitor = visitor_of(start.wake)
    match start.outcome:
        case Outcome.FAILED:
            return Entry(
                start.wake.at, "failed", "start failed", start.error or "", visitor, phases
            )
        case Outcome.ABANDONED:
            text = "it was told to stop before it accepted"
            return Entry(start.wake.at, "abandoned", "start abandoned", text, visitor, phases)
        case Outcome.ACCEPTED:
            text = start.started or ""
            return Entry(start.wake.at, "started", "started", text, visitor, phases)


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
    entries = [*map(started, history.starts), *map(stopped, history.stops)]
    known = {start.wake.at for start in history.starts}
    boots = detail.status.state in (ReportedState.STARTING, ReportedState.RELOADING)
    wake, stop = detail.wake, detail.last_stop
    # The history has a start when it has ended.
    if wake and wake.at not in known and (boots or history.why_none is not None):
        title = "boots now" if boots else "started"
        entries.append(Entry(wake.at, "started", title, "", visitor_of(wake), phase_bar(wake)))
    if stop and history.why_none is not None:
        entries.append(Entry(stop.at, "slept", "stopped", stop.reason))
    entries.sort(key=lambda entry: entry.at, reverse=True)
    return tuple(entries[:MOST_ENTRIES])


# Visitors notice it.
_SLOW_MS = 1000.0
_SLOW = {
    Phase.DRAIN: "In it the process before it finishes its requests",
    Phase.TURN: "In it it waits for its turn to boot, since other apps boot (max-starting)",
    Phase.SPAWN: "In it uWSGI is started, which takes so long only where the machine is short"
    " of CPU, memory or disk",
    Phase.LOAD: "In it the app is loaded: what its modules do as they are imported takes the"
    " time, and its log may tell what they wait for",
    Phase.ACCEPT: "In it its workers are started: hooks of its ini, and what the app does"
    " after a fork, take the time",
}


def why_slow(starts: Sequence[PastStart]) -> str:
    """In which phase the last starts of an app spend most of their time, if they are slow: half of
    them take a second or more. Empty: they are not."""
    waits = [
        [(phase, took) for phase, took in phases_of(start.wake) if phase in _SLOW]
        for start in starts
        if start.outcome is Outcome.ACCEPTED
    ][-LAST_STARTS:]
    totals = [sum(took for _, took in wait) for wait in waits]
    if not totals or (usual := median(totals)) < _SLOW_MS:
        return ""
    of_phases: Counter[Phase] = Counter()
    for wait in waits:
        for phase, took in wait:
            of_phases[phase] += round(took)
    [(phase, took)] = of_phases.most_common(1)
    share = round(100 * took / sum(totals))
    many = (
        f"Half of its last {len(totals)} starts took" if len(totals) > 1 else "Its last start took"
    )
    more = " or more" if len(totals) > 1 else ""
    text = f"{many} {seconds(usual)}{more}, {share} % of it in the phase {phase.value}"
    return f"{text}. {_SLOW[phase]}"


def seconds(milliseconds: float) -> str:
    """A time that visitors notice."""
    return f"{milliseconds / 1000:.1f} s"


def limit_rows(app: Limits, tenant: Limits, hits: Iterable[AppHits]) -> tuple[LimitRow, ...]:
    """The limits that hold for an app, and how often its processes have reached them."""
    reached = {each.limit: each for each in hits}

    def row(limit: Limit) -> LimitRow:
        names = (limit.name, f"tenant-{limit.name}")
        found = [reached[name] for name in names if name in reached]
        return LimitRow(
            limit.name,
            _spelled(limit.name, getattr(app, limit.field)),
            _spelled(limit.name, getattr(tenant, limit.field)) if limit.of_tenant else "",
            sum(each.hits for each in found),
            max((each.last_at for each in found), default=None),
        )

    return tuple(map(row, LIMITS))


def _spelled(name: str, value: int | None) -> str:
    if value is None:
        return "100" if name.endswith("weight") else "0" if name == "nice" else "none"
    if name.startswith("memory"):
        return memory(value)
    return f"{value} %" if name == "cpu-max" else str(value)


def orders_for(status: VassalStatus, caller: Caller) -> tuple[OrderText, ...]:
    """What this caller can order now."""
    if status.maintenance_since is not None:
        names = ["maintenance-off"]
    elif status.pid is None and status.state is not ReportedState.STARTING:
        names = ["start", "maintenance-on"]
    else:
        names = ["reload", "restart", "sleep", "restart-fresh", "maintenance-on"]
    allowed = [name for name in names if caller.may(Operation(name), status.uid) is Verdict.ALLOWED]
    return tuple(ORDERS[name] for name in allowed)


def page(
    detail: VassalDetail,
    history: VassalHistory,
    caller: Caller,
    rest: "Rest",
    now: datetime,
) -> VassalPage:
    """The view of the page."""
    return VassalPage(
        detail=detail,
        slow=why_slow(history.starts),
        # What is wrong stands above them.
        facts=tuple(fact for fact in facts(detail, now) if fact[0] != "cause"),
        orders=orders_for(detail.status, caller),
        entries=story(detail, history),
        why_no_history=history.why_none,
        wakes=wakes_plot(history.starts),
        log=rest.log,
        ini=rest.ini,
        limits=rest.limits,
        ordered=rest.ordered,
    )


@dataclass(frozen=True, slots=True)
class Rest:
    """What the page has beside the records of the API."""

    log: tuple[str, ...] | None
    ini: IniView
    limits: tuple[LimitRow, ...]
    ordered: OrderText | None
