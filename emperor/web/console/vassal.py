"""The page of one vassal: its facts, its story, its limits, and what it can be ordered to do."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from emperor.model.authority import Caller, Operation, Verdict
from emperor.model.estimate import SLOW_SECONDS
from emperor.model.history import (
    Phase,
    StartOutcome,
    VassalHistory,
    phases_of,
)
from emperor.model.limits import LIMITS, Limit, Limits
from emperor.model.status import AppHits, ReportedState, VassalDetail, VassalStatus, Wake
from emperor.model.text import memory, since, took, until
from emperor.model.vassal_text import NextStart, facts, next_start
from emperor.web.console.ini_view import IniView
from emperor.web.console.orders import ORDERS, OrderText
from emperor.web.console.plots import Plot, wakes_plot
from emperor.web.console.shown_state import ShownState
from emperor.web.console.story import Entry, latest, story

LAST_STARTS = 10
PAST_STARTS = 60


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit of an app: its value for the app, the most of it that was used, and its value for all
    apps of its user together; and how often processes of this app have reached one of the two, and
    when last."""

    name: str
    of_app: str
    used: str
    of_tenant: str
    hits: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact with the time in it that goes on: how long ago `moment` was, or, where `is_left`, how
    long it is until then. None: there is no such time, and all of the text is `before`."""

    label: str
    before: str
    moment: datetime | None = None
    is_left: bool = False
    after: str = ""


def fact_of(label: str, text: str, detail: VassalDetail, now: datetime) -> Fact:
    """The fact of that label."""
    status = detail.status
    ages = {
        "state": status.state_since,
        "closed": status.maintenance_since,
        "woken": detail.wake.at if detail.wake else None,
        "started": detail.wake.at if detail.wake else None,
        "last hit": status.last_hit_at,
        "stopped": detail.last_stop.at if detail.last_stop else None,
        "ini": detail.ini_written_at,
    }
    again = next_start(status)
    lefts = {"sleeps": status.reap_at, "failed": again.at if again else None}
    is_left = label in lefts
    moment = lefts[label] if is_left else ages.get(label)
    if moment is None:
        return Fact(label, text)
    word = until(moment, now) if is_left else since(moment, now)
    # The path of an ini may have the same text.
    before, _, after = text.rpartition(word) if label == "ini" else text.partition(word)
    return Fact(label, before, moment, is_left, after)


@dataclass(frozen=True, slots=True)
class VassalPage:
    """The page. `last` says what happened last to the vassal; empty: nothing. `slow` says why it
    starts slowly; empty: it does not. `log` is None where there is none that the caller may
    read."""

    detail: VassalDetail
    shown: ShownState
    last: str
    slow: str
    facts: tuple[Fact, ...]
    orders: tuple[OrderText, ...]
    entries: tuple[Entry, ...]
    why_no_history: str | None
    wakes: Plot | None
    log: tuple[str, ...] | None
    ini: IniView
    limits: tuple[LimitRow, ...]

    @property
    def status(self) -> VassalStatus:
        """The row of the vassal in the list."""
        return self.detail.status

    @property
    def again(self) -> NextStart | None:
        """Who starts it again after a failure."""
        return next_start(self.status)


_SLOW_MS = 1000 * SLOW_SECONDS
_SLOW = {
    Phase.DRAIN: "In it the process before it finishes its requests",
    Phase.TURN: "In it it waits for its turn to start, since other apps start (max-starting)",
    Phase.SPAWN: "In it uWSGI is started, which takes so long only where the machine is short"
    " of CPU, memory or disk",
    Phase.LOAD: "In it the app is loaded: what its modules do as they are imported takes the time",
    Phase.ACCEPT: "In it its workers are started: hooks of its ini, and what the app does"
    " after a fork, take the time",
}


def accepted(detail: VassalDetail, history: VassalHistory) -> tuple[Wake, ...]:
    """The starts that ended with an app that accepted. Without a history the last one is known."""
    if history.why_none is None:
        return tuple(
            start.wake for start in history.starts if start.outcome is StartOutcome.ACCEPTED
        )
    wake = detail.wake
    return (wake,) if wake and wake.accepting_ms is not None else ()


def why_slow(wakes: Sequence[Wake]) -> str:
    """In which phase the last starts of an app spend most of their time, if they are slow: half of
    them take a second or more. Empty: they are not. These starts have accepted."""
    waits = [
        [(phase, spent) for phase, spent in phases_of(wake) if phase in _SLOW]
        for wake in wakes[-LAST_STARTS:]
    ]
    totals = [sum(spent for _, spent in wait) for wait in waits]
    if not totals or (usual := median(totals)) < _SLOW_MS:
        return ""
    of_phases: Counter[Phase] = Counter()
    for wait in waits:
        for phase, spent in wait:
            of_phases[phase] += round(spent)
    [(phase, longest)] = of_phases.most_common(1)
    share = round(100 * longest / sum(totals))
    many = (
        f"Half of its last {len(totals)} starts took" if len(totals) > 1 else "Its last start took"
    )
    more = " or more" if len(totals) > 1 else ""
    text = f"{many} {took(usual)}{more}, {share} % of it in the phase {phase.value}"
    return f"{text}. {_SLOW[phase]}"


def limit_rows(
    app: Limits, tenant: Limits, hits: Iterable[AppHits], peak: int | None
) -> tuple[LimitRow, ...]:
    """The limits that hold for an app, and how often its processes have reached them. `peak` is the
    most memory that it has held since its process started."""
    reached = {each.limit: each for each in hits}

    def row(limit: Limit) -> LimitRow:
        names = (limit.name, f"tenant-{limit.name}")
        found = [reached[name] for name in names if name in reached]
        return LimitRow(
            limit.name,
            _spelled(limit.name, getattr(app, limit.field)),
            memory(peak) if peak and limit.name == "memory-max" else "",
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
    entries = story(detail, history)
    return VassalPage(
        detail=detail,
        shown=rest.shown,
        last=latest(entries),
        slow=why_slow(accepted(detail, history)),
        # What is wrong and what is slow stand above them.
        facts=tuple(
            fact_of(label, text, detail, now)
            for label, text in facts(detail, now)
            if label not in ("cause", "imports")
        ),
        orders=orders_for(detail.status, caller),
        entries=entries,
        why_no_history=history.why_none,
        wakes=wakes_plot(history.starts),
        log=rest.log,
        ini=rest.ini,
        limits=rest.limits,
    )


@dataclass(frozen=True, slots=True)
class Rest:
    """What the page has beside the records of the API."""

    shown: ShownState
    log: tuple[str, ...] | None
    ini: IniView
    limits: tuple[LimitRow, ...]
