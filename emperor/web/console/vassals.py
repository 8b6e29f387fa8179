"""The page of all vassals: which of them a query wants, in which order, and a row for each."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from emperor.model.cause import Cause, StartMethod
from emperor.model.history import VassalStats
from emperor.model.status import Refused, ReportedState, VassalStatus
from emperor.supervisor.records import Vassal
from emperor.web.console.overview import ProblemRow, is_noted, not_served
from emperor.web.console.shown_state import ShownState, shown_state
from emperor.web.console.tenants import uid_text, wanted_tenant

ROWS = 100
_LONGEST_WORD = 253
_MOST_REFUSED = 10
STATES = tuple(state.value for state in ShownState)
# A link that somebody has kept of an earlier version: an app is so until its delay has passed.
_EARLIER_STATES = {ReportedState.THROTTLED.value: ShownState.FAILED.value}
RUNTIMES = {"base": "forked from a base", "exec": "started by exec"}
SORTS = ("name", "state", "hit", "wakes", "wake", "memory")
# What these sort by is kept in the history.
BY_STATS = frozenset({"wakes", "wake"})
_STATE_ORDER = {state: place for place, state in enumerate(ShownState)}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A view of the list, as its link has it. Empty: no such condition. `q` is a part of a name or
    of an error, or a URL."""

    q: str = ""
    state: str = ""
    tenant: str = ""
    runtime: str = ""
    trouble: str = ""
    sort: str = "name"
    reverse: str = ""
    page: int = 1

    @property
    def host(self) -> str:
        """The host, or the part of a name, that is looked for; empty: `q` has none."""
        return host_in(self.q)

    @property
    def is_ascending(self) -> bool:
        """Whether the smallest comes first: numbers begin with the largest, unless reversed."""
        return (self.sort in ("name", "state")) != bool(self.reverse)

    def reverse_for(self, sort: str) -> str:
        """What `reverse` is behind the title of a column: that of the order turns it round."""
        return "1" if sort == self.sort and not self.reverse else ""

    @property
    def parts(self) -> dict[str, str]:
        """The query of its link, without the page."""
        sort = "" if self.sort == "name" else self.sort
        return {
            "q": self.q, "state": self.state, "tenant": self.tenant, "runtime": self.runtime,
            "trouble": self.trouble, "sort": sort,
            "reverse": self.reverse,
        }  # fmt: skip

    @property
    def is_all(self) -> bool:
        """Whether it wants every vassal."""
        return not any((self.q, self.state, self.tenant, self.runtime, self.trouble))


def list_query_of(query: Mapping[str, str]) -> ListQuery:
    """What a query asks for; what it cannot mean is left out."""
    page, state = query.get("page", ""), query.get("state", "")
    return ListQuery(
        q=query.get("q", "").strip()[:_LONGEST_WORD],
        state=_one_of(_EARLIER_STATES.get(state, state), STATES),
        tenant=wanted_tenant(query.get("tenant", "")),
        runtime=_one_of(query.get("runtime", ""), RUNTIMES),
        trouble="1" if query.get("trouble") else "",
        sort=_one_of(query.get("sort", ""), SORTS) or "name",
        reverse="1" if query.get("reverse") else "",
        page=max(1, int(page)) if _is_number(page) else 1,
    )


def host_in(text: str) -> str:
    """The host of a URL that somebody has pasted, or the part of a name that is looked for."""
    _, separator, rest = text.strip().lower().partition("://")
    text = rest if separator else text.strip().lower()
    return re.sub(r":\d*$", "", re.split(r"[/?#]", text)[0].rpartition("@")[2])


def exactly(found: Iterable[Vassal], name: str) -> str:
    """The domain among these that has exactly that name or alias; empty: none has."""
    named = (each.spec.domain for each in found if name in (each.spec.domain, *each.spec.aliases))
    return next(named, "")


def _one_of(text: str, known: Iterable[str]) -> str:
    return text if text in known else ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 11


def is_wanted(vassal: Vassal, query: ListQuery, error_of: Callable[[Vassal], str | None]) -> bool:
    """Whether a vassal is in the view. Its `tenant` is as Names.uid_text has it. `error_of` tells
    what is wrong with one, which takes long for thousands."""
    spec = vassal.spec
    if query.state and shown_state(vassal).value != query.state:
        return False
    if query.tenant and uid_text(spec.owner) != query.tenant:
        return False
    if query.runtime and runtime_of(vassal) != query.runtime:
        return False
    is_named = bool(query.host) and any(query.host in name for name in (spec.domain, *spec.aliases))
    if not query.trouble and (is_named or not query.q):
        return True
    error = error_of(vassal) if is_noted(vassal) else None
    return error is not None and (is_named or query.q.lower() in error.lower())


def refused_like(query: ListQuery, refused: Iterable[Refused]) -> tuple[ProblemRow, ...]:
    """The first inis that are not served and that the search finds; none without a search."""
    found = (
        ini
        for ini in refused
        if (query.host and query.host in ini.domain) or query.q.lower() in ini.error.lower()
    )
    return not_served(islice(found, _MOST_REFUSED if query.q else 0))


def runtime_of(vassal: Vassal) -> str:
    """How the process was started that leads; empty: there is none."""
    if vassal.lead is None:
        return ""
    return "base" if vassal.lead.process.ref.method is StartMethod.FORK else "exec"


@dataclass(frozen=True, slots=True)
class Row:
    """A vassal of the list, and why it is in its state."""

    status: VassalStatus
    shown: ShownState
    wakes: int
    median_wake_ms: float | None
    why: str
    has_trouble: bool
    tenant: str


def why(status: VassalStatus, vassal: Vassal) -> str:
    """Why a vassal is in its state."""
    if status.maintenance_since is not None:
        return "in maintenance: visitors get 503"
    if status.last_error is not None:
        return status.last_error
    if status.boot_position is not None:
        return f"number {status.boot_position} in the queue of starts, for {vassal.queued_for}"
    boot = vassal.last_boot
    match status.state:
        case ReportedState.PARKED | ReportedState.STOPPING:
            return vassal.last_stop.why if vassal.last_stop else "not used yet"
        case _:
            return _briefly(boot.cause) if boot else ""


def _briefly(cause: Cause) -> str:
    """The cause without the agent, which has the length of all the rest; the page of the vassal
    tells it."""
    return str(replace(cause, agent=None))


def ordered(
    vassals: Sequence[Vassal], query: ListQuery, numbers: Mapping[str, float]
) -> list[Vassal]:
    """The vassals in that order, and by name where it makes no difference. `numbers` are what they
    are sorted by, by domain: the largest first, and last those without one. Takes milliseconds."""
    found, sort = sorted(vassals, key=lambda vassal: vassal.spec.domain), query.sort
    if sort == "state":
        found.sort(key=lambda vassal: _STATE_ORDER[shown_state(vassal)])
    elif sort != "name":
        found.sort(key=lambda vassal: -numbers.get(vassal.spec.domain, 0.0))
    return found[::-1] if query.reverse else found


def by_stats(stats: Iterable[VassalStats], sort: str) -> dict[str, float]:
    """The numbers to sort by that are kept in the history."""
    if sort == "wakes":
        return {each.name: each.wakes for each in stats}
    return {each.name: each.median_wake_ms or 0.0 for each in stats}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the list can be sorted by."""

    sort: str
    title: str
    is_number: bool = False


COLUMNS = (
    Column("name", "Domain"),
    Column("state", "State"),
    Column("hit", "Last hit"),
    Column("wakes", "Wakes in 24 h", is_number=True),
    Column("wake", "Median wake", is_number=True),
    Column("memory", "Memory", is_number=True),
)


@dataclass(frozen=True, slots=True)
class Pagination:
    """Where a page stands in the list: `number` vassals are in the view, of `total` in all; so many
    are before the page, and so many on it."""

    number: int
    total: int
    before: int
    shown: int

    @property
    def pages(self) -> int:
        """How many pages the view has."""
        return pages_of(self.number)


@dataclass(frozen=True, slots=True)
class List:
    """The page. `tenants` are users that a vassal runs as, each as in a query and by name: all,
    unless `has_more_tenants`. `not_served` are inis that the search finds too."""

    query: ListQuery
    rows: tuple[Row, ...]
    tenants: tuple[tuple[str, str], ...]
    has_more_tenants: bool
    pagination: Pagination
    exact: str
    not_served: tuple[ProblemRow, ...]
    now: datetime
    columns: tuple[Column, ...] = COLUMNS
    states: tuple[str, ...] = STATES
    runtimes: tuple[tuple[str, str], ...] = tuple(RUNTIMES.items())


def pages_of(number: int) -> int:
    """How many pages there are for so many rows."""
    return max(1, -(-number // ROWS))


def row_of(status: VassalStatus, vassal: Vassal, stats: VassalStats | None, tenant: str) -> Row:
    """The row of a vassal."""
    return Row(
        status=status,
        shown=shown_state(vassal),
        wakes=stats.wakes if stats else 0,
        median_wake_ms=stats.median_wake_ms if stats else None,
        why=why(status, vassal),
        has_trouble=status.last_error is not None,
        tenant=tenant,
    )
