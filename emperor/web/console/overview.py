"""The first page: all vassals in numbers, what needs a person, and what happened lately."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from emperor.model.estimate import SLOW_SECONDS, usual
from emperor.model.history import Pulse
from emperor.model.refusal import RefusalReason
from emperor.model.slow_imports import told
from emperor.model.status import (
    EmperorStatus,
    LimitHits,
    Refused,
    ReportedState,
    VassalStatus,
)
from emperor.model.vassal_text import NextStart, next_start
from emperor.supervisor.records import Vassal
from emperor.web.console.plots import Plot, share, spans, starts_plot
from emperor.web.console.shown_state import ShownState, shown_state
from emperor.web.console.tenants import Names, largest_first, uid_text

MOST_PROBLEM_ROWS = 10
_MOST_BOOTS = 25
_MOST_SLOW = 10
MOST_TENANTS = 10
BY_HOUR, HOURS = timedelta(hours=1), 24
BY_MINUTE, MINUTES = timedelta(minutes=1), 60


@dataclass(frozen=True, slots=True)
class Slow:
    """A vassal that starts slowly: the usual seconds, and what takes most of them; empty: that was
    not measured yet."""

    name: str
    seconds: float
    told: str


@dataclass(slots=True)
class Census:
    """What is counted of all vassals without a look at each of them. `noted` are those of which
    there is more to tell, `shown` has the states of these, and `slow` are those that start
    slowly."""

    states: Counter[ShownState] = field(default_factory=Counter)
    owners: Counter[int | None] = field(default_factory=Counter)
    noted: list[Vassal] = field(default_factory=list)
    shown: dict[str, ShownState] = field(default_factory=dict)
    slow: list[Slow] = field(default_factory=list)

    def count(self, vassals: Iterable[Vassal]) -> None:
        """Count these vassals too."""
        for vassal in vassals:
            state = shown_state(vassal)
            self.states[state] += 1
            self.owners[vassal.spec.owner] += 1
            if is_noted(vassal):
                self.noted.append(vassal)
                self.shown[vassal.spec.domain] = state
            if vassal.boots and (seconds := usual(vassal.boots)) >= SLOW_SECONDS:
                found = told(vassal.slow_imports[:1])
                self.slow.append(Slow(vassal.spec.domain, seconds, found))


def is_noted(vassal: Vassal) -> bool:
    """Whether the vassal has a process, waits for one, or something is wrong with it."""
    return bool(vassal.children or vassal.queued_for or has_trouble(vassal))


def has_trouble(vassal: Vassal) -> bool:
    """Whether something may be wrong with a vassal that has no process."""
    return bool(vassal.last_error or vassal.ini_error or vassal.failed or vassal.spec.taken_aliases)


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """What needs a person: the vassal, None where there is none; the subject, and what is wrong,
    with the cure; and who starts it again."""

    page: str | None
    subject: str
    text: str
    note: str = ""
    again: NextStart | None = None


@dataclass(frozen=True, slots=True)
class RefusedPage:
    """The page of all inis that are not served: a part of the `number` of them."""

    inis: tuple[ProblemRow, ...]
    number: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class OfState:
    """The vassals in one state: how many there are, how many of them have an error, their memory,
    and its part of all."""

    state: str
    number: int
    failing: int
    rss_bytes: int
    share: float


@dataclass(frozen=True, slots=True)
class OfTenant:
    """The vassals of one user."""

    uid: str
    name: str
    number: int
    awake: int
    rss_bytes: int
    share: float


@dataclass(frozen=True, slots=True)
class Starting:
    """A vassal that starts, or for which somebody waits."""

    status: VassalStatus
    shown: ShownState
    cause: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The page. `day` and `hour` are None where there is no history, and `why_no_history` says why.
    The numbers `more_` are of what the page leaves out."""

    emperor: EmperorStatus
    machine: str
    is_administrator: bool
    total: int
    states: tuple[OfState, ...]
    tenants: tuple[OfTenant, ...]
    more_tenants: int
    verdict: str
    problem_rows: tuple[ProblemRow, ...]
    more_problem_rows: int
    more_refused: int
    starting: tuple[Starting, ...]
    more_starting: int
    slow: tuple[Slow, ...]
    more_slow: int
    limit_hits: tuple[LimitHits, ...]
    day: Plot | None
    hour: Plot | None
    why_no_history: str | None


# A failed app is tried again all the time, and keeps its place meanwhile.
_DOWN = frozenset({ShownState.FAILED, ShownState.STARTING})


def problem_rows(rows: Iterable[VassalStatus], shown: Mapping[str, ShownState]) -> list[ProblemRow]:
    """The vassals that need a person: first those that are down, then the rest. `shown` has their
    states."""
    failing = [row for row in rows if row.last_error is not None]
    failing.sort(key=lambda row: (shown[row.name] not in _DOWN, row.name))
    return [
        ProblemRow(row.name, row.name, row.last_error or "", shown[row.name].value, next_start(row))
        for row in failing
    ]


def not_served(refused: Iterable[Refused]) -> tuple[ProblemRow, ...]:
    """The inis that are not served. One that is named after no host has no page."""
    return tuple(
        ProblemRow(
            None if ini.reason is RefusalReason.BAD_NAME else ini.domain,
            ini.file,
            ini.error,
            "not served",
        )
        for ini in refused
    )


def of_states(census: Census, rows: Iterable[VassalStatus]) -> tuple[OfState, ...]:
    """A line for each state that some vassal has."""
    memory: Counter[ShownState] = Counter()
    failing: Counter[ShownState] = Counter()
    for row in rows:
        state = census.shown[row.name]
        memory[state] += row.rss_bytes or 0
        failing[state] += row.last_error is not None
    most = max(memory.values(), default=0)
    return tuple(
        OfState(
            state.value,
            census.states[state],
            failing[state],
            memory[state],
            share(memory[state], most),
        )
        for state in ShownState
        if census.states[state]
    )


def of_tenants(census: Census, rows: Iterable[VassalStatus], names: Names) -> tuple[OfTenant, ...]:
    """A line for each of the users with the most memory, and then with the most vassals."""
    memory: defaultdict[int | None, int] = defaultdict(int)
    awake: Counter[int | None] = Counter()
    for row in rows:
        memory[row.uid] += row.rss_bytes or 0
        awake[row.uid] += row.pid is not None
    most = max(memory.values(), default=0)
    return tuple(
        OfTenant(
            uid_text(uid),
            names.of(uid),
            census.owners[uid],
            awake[uid],
            memory[uid],
            share(memory[uid], most),
        )
        for uid in largest_first(census.owners, memory, census.owners)[:MOST_TENANTS]
    )


def verdict(troubled: int, total: int) -> str:
    """How many of all apps and inis need a person."""
    if not troubled:
        return "nothing needs attention"
    return f"{troubled} of {total} {'needs' if troubled == 1 else 'need'} attention"


_BOOTING = frozenset({ReportedState.STARTING, ReportedState.RELOADING})


def cause_of(vassal: Vassal) -> str:
    """The cause for which a vassal starts; empty: it does not start."""
    if vassal.reported_state not in _BOOTING:
        return ""
    boot = vassal.last_boot
    return str(vassal.queued_for or (boot.cause if boot else ""))


def waiting(
    rows: Iterable[VassalStatus], shown: Mapping[str, ShownState], causes: Mapping[str, str]
) -> list[Starting]:
    """The vassals that start, in the order of the queue, and others for which somebody waits."""
    found = [row for row in rows if row.state in _BOOTING or row.held or row.queued]
    found.sort(key=lambda row: (row.boot_position or 0, row.state_since))
    return [Starting(row, shown[row.name], causes.get(row.name, "")) for row in found]


def plots(pulse: Pulse, now: datetime) -> tuple[Plot | None, Plot | None]:
    """The plots of the last day and of the last hour."""
    if pulse.why_none is not None:
        return None, None
    by_hour = spans(pulse.hours, now, BY_HOUR, HOURS)
    by_minute = spans(pulse.minutes, now, BY_MINUTE, MINUTES)
    return (
        starts_plot(by_hour, 6, "The last 24 hours"),
        starts_plot(by_minute, 15, "The last 60 minutes"),
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """What the daemon tells of all vassals that exist for the caller, and of some of the inis that
    are not served: `more_refused` are left out."""

    emperor: EmperorStatus
    census: Census
    rows: Sequence[VassalStatus]
    refused: Sequence[Refused]
    more_refused: int
    limit_hits: tuple[LimitHits, ...]
    causes: Mapping[str, str]
    pulse: Pulse


def overview(
    seen: Seen, names: Names, machine: str, is_administrator: bool, now: datetime
) -> Overview:
    """The view of the page."""
    shown = seen.census.shown
    wrong = problem_rows(seen.rows, shown)
    starting = waiting(seen.rows, shown, seen.causes)
    slow = sorted(seen.census.slow, key=lambda each: (-each.seconds, each.name))
    day, hour = plots(seen.pulse, now)
    return Overview(
        emperor=seen.emperor,
        machine=machine,
        is_administrator=is_administrator,
        total=seen.census.states.total(),
        states=of_states(seen.census, seen.rows),
        tenants=of_tenants(seen.census, seen.rows, names),
        more_tenants=max(0, len(seen.census.owners) - MOST_TENANTS),
        verdict=verdict(
            len(wrong) + len(seen.refused) + seen.more_refused,
            seen.census.states.total() + len(seen.refused) + seen.more_refused,
        ),
        problem_rows=(*not_served(seen.refused), *wrong[:MOST_PROBLEM_ROWS]),
        more_problem_rows=max(0, len(wrong) - MOST_PROBLEM_ROWS),
        more_refused=seen.more_refused,
        starting=tuple(starting[:_MOST_BOOTS]),
        more_starting=max(0, len(starting) - _MOST_BOOTS),
        slow=tuple(slow[:_MOST_SLOW]),
        more_slow=max(0, len(slow) - _MOST_SLOW),
        limit_hits=seen.limit_hits,
        day=day,
        hour=hour,
        why_no_history=seen.pulse.why_none,
    )
