"""What is kept of the past: each start and stop of an app, and the hits by the hour.

The supervisor states facts (supervisor/chronicle.py), a file keeps them (linux/history_file.py),
and the control API tells them. docs/api.md takes the text below a field or a member as its meaning.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeVar

from emperor.model.cause import Boot, Cause, CauseKind, StartMethod
from emperor.model.status import Wake

K = TypeVar("K", bound=Hashable)

# Facts that wait for the disk. At a hundred starts a second it may hang for a minute.
MOST_WAITING = 10_000
# Characters of a text that are kept: the cause of a failure may quote a whole log.
LONGEST_TEXT = 500
HOUR_SECONDS = 3600


class NoHistory(Exception):
    """The history cannot be written or read; the message says why, and what to do."""


class StartOutcome(Enum):
    """What came of a start."""

    ACCEPTED = "accepted"
    """the app accepted requests"""
    FAILED = "failed"
    """the process ended before that, or could not be started"""
    ABANDONED = "abandoned"
    """the process was told to stop before that"""


class StopKind(Enum):
    """How the service of an app ended."""

    STOPPED = "stopped"
    """emperord told it to stop: it was unused, an order, an eviction, a changed ini"""
    ENDED = "ended"
    """it ended by an order that is not emperord's: `q`, a signal by hand"""
    DIED = "died"
    """it ended by itself, or was killed"""


def wake_of(cause: Cause, boot: Boot | None, at: datetime) -> Wake:
    """A start for `cause`, which came at `at`, and whose process booted so; None: it has none."""

    def after(moment: float | None) -> float | None:
        return None if moment is None else round((moment - cause.at) * 1000, 1)

    return Wake(
        by=cause.by,
        client=cause.client,
        request_id=cause.request,
        method=cause.method,
        path=cause.path,
        agent=cause.agent,
        at=at,
        spawned_ms=after(boot.spawned) if boot else None,
        loaded_ms=after(boot.loaded) if boot else None,
        accepting_ms=after(boot.accepting) if boot else None,
        first_reply_ms=after(boot.first_reply) if boot else None,
        drained_ms=after(cause.drained_at),
        turn_ms=after(cause.turn_at),
        traceparent=cause.traceparent,
    )


class Phase(Enum):
    """A part of a start, in the order in which they follow each other."""

    DRAIN = "drain"
    """until the old process had ended"""
    TURN = "turn"
    """in the queue of starts"""
    SPAWN = "spawn"
    """until the process was started"""
    LOAD = "load"
    """until the app was loaded"""
    ACCEPT = "accept"
    """until it accepted"""
    FIRST_REPLY = "first-reply"
    """until its first reply"""


def phases_of(wake: Wake) -> list[tuple[Phase, float]]:
    """How many milliseconds each phase took that has ended. The first reply counts only if a
    visitor waited for it: otherwise it says when the next visitor came."""
    has_visitor = wake.by in (CauseKind.HIT.value, CauseKind.CONNECTION.value)
    marks = (
        (Phase.DRAIN, wake.drained_ms),
        (Phase.TURN, wake.turn_ms),
        (Phase.SPAWN, wake.spawned_ms),
        (Phase.LOAD, wake.loaded_ms),
        (Phase.ACCEPT, wake.accepting_ms),
        (Phase.FIRST_REPLY, wake.first_reply_ms if has_visitor else None),
    )
    found, before = [], 0.0
    for phase, mark in marks:
        if mark is not None:
            found.append((phase, mark - before))
            before = mark
    return found


@dataclass(frozen=True, slots=True)
class PastStart:
    """A start of a process of a vassal, told when it has accepted or has ended before."""

    wake: Wake
    """why it was started, and when it reached each phase"""
    cause: CauseKind
    """the kind of `by` of the wake; for programs"""
    outcome: StartOutcome
    """what came of it"""
    started: str | None
    """as in VassalDetail; null: no process was started"""
    error: str | None
    """why it failed; null: it did not"""


@dataclass(frozen=True, slots=True)
class PastStop:
    """The end of the service of a vassal's app."""

    at: datetime
    """when it was told to stop, or ended"""
    kind: StopKind
    """how it ended"""
    reason: str
    """`idle`, `emperorctl sleep`, how its process died, and the like; for people"""
    served_seconds: float
    """for how long it had accepted requests"""


@dataclass(frozen=True, slots=True)
class Hour:
    """What happened within one hour."""

    at: datetime
    """when the hour began"""
    hits: int
    """requests for which emperord was asked, since the app did not accept"""
    starts: int
    """processes that were started for that hour's causes"""
    failures: int
    """starts that failed, and apps that died"""


@dataclass(frozen=True, slots=True)
class Minute:
    """What happened within one minute: starts, and failures as in an Hour."""

    at: datetime
    starts: int
    failures: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """What happened lately at all vassals that exist for the caller, the oldest first: in the hours
    and the minutes in which something did. `why_none`: why there is no history; None: there is."""

    hours: tuple[Hour, ...]
    minutes: tuple[Minute, ...]
    why_none: str | None = None


@dataclass(frozen=True, slots=True)
class VassalHistory:
    """The history of one vassal, as in `emperorctl why --history`."""

    name: str
    """its domain"""
    kept_since: datetime | None
    """the time of the oldest entry of the caller's that is kept; null: there is none"""
    starts: tuple[PastStart, ...]
    """its last starts, the oldest first"""
    stops: tuple[PastStop, ...]
    """its last stops, the oldest first"""
    hours: tuple[Hour, ...]
    """each hour in which something happened, the oldest first"""
    why_none: str | None
    """why there is no history; null: there is"""


@dataclass(frozen=True, slots=True)
class VassalStats:
    """One vassal in numbers, as in a row of `emperorctl stats`."""

    name: str
    """its domain"""
    starts: int
    """processes that were started for it"""
    wakes: int
    """starts for a visitor: by a hit or a connection"""
    failures: int
    """starts that failed, and times that the app died"""
    hits: int
    """requests for which emperord was asked, since the app did not accept"""
    median_wake_ms: float | None
    """the median of the milliseconds from the demand of a visitor until the app accepted; null:
    there was no such wake"""
    slowest_wake_ms: float | None
    """the longest of these times; null: there was none"""


@dataclass(frozen=True, slots=True)
class Stats:
    """Vassals in numbers, as in `emperorctl stats`."""

    since: datetime
    """the time from which on it counts"""
    kept_since: datetime | None
    """the time of the oldest entry of the caller's that is kept; null: there is none"""
    vassals: tuple[VassalStats, ...]
    """each vassal with an entry, by name, also one that is gone"""
    hours: tuple[Hour, ...]
    """each hour in which something happened to one of these, the oldest first"""
    why_none: str | None
    """why there is no history; null: there is"""


@dataclass(frozen=True, slots=True)
class Subject:
    """The vassal that a fact is about, and the user that it ran as; None: that of the daemon."""

    domain: str
    uid: int | None


@dataclass(frozen=True, slots=True)
class Started:
    """A start has come to its end, `seconds` after the demand. `generation` is the number of the
    spawn, and `method` how it was done; None where there was none."""

    subject: Subject
    generation: int | None
    start: PastStart
    method: StartMethod | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Replied:
    """The process of that spawn has given its first reply, for which a visitor had waited."""

    subject: Subject
    generation: int
    start: PastStart
    method: StartMethod | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The service of an app has ended."""

    subject: Subject
    stop: PastStop


@dataclass(frozen=True, slots=True)
class Hit:
    """A request, at `at`, for an app that did not accept."""

    subject: Subject
    at: datetime


Fact = Started | Replied | Stopped | Hit


@dataclass(slots=True)
class Batch:
    """Facts that are written together. `hits` are counted by the hour, in seconds since 1970.
    `lost` counts the facts that found no room."""

    facts: list[Started | Replied | Stopped] = field(default_factory=list)
    hits: Counter[tuple[Subject, int]] = field(default_factory=Counter)
    lost: int = 0

    def add(self, fact: Fact) -> None:
        """Take a fact, unless too many wait already."""
        if len(self.facts) + len(self.hits) >= MOST_WAITING:
            self.lost += 1
        elif isinstance(fact, Hit):
            self.hits[fact.subject, hour_of(fact.at)] += 1
        else:
            self.facts.append(fact)

    def __bool__(self) -> bool:
        return bool(self.facts or self.hits)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is read of the history: entries from `since` on, of these `domains` if there are any,
    and of the apps of that `tenant`; None: of all."""

    since: datetime
    domains: Collection[str] = ()
    tenant: int | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What the history has of some vassals, the oldest first."""

    starts: tuple[PastStart, ...]
    stops: tuple[PastStop, ...]
    hours: tuple[Hour, ...]
    kept_since: datetime | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the history has of some vassals in numbers: each by name, and the hours of all."""

    vassals: tuple[VassalStats, ...]
    hours: tuple[Hour, ...]
    kept_since: datetime | None


def hour_of(moment: datetime) -> int:
    """When the hour of a moment began, in seconds since 1970."""
    return int(moment.timestamp()) // HOUR_SECONDS * HOUR_SECONDS


def shares(rows: Mapping[K, int], most: int) -> dict[K, int]:
    """How many rows each keeps so that all have `most` together. Each gets an equal share, of which
    the surplus of those with fewer rows goes to the others."""
    kept: dict[K, int] = {}
    left = most
    for place, key in enumerate(sorted(rows, key=rows.__getitem__)):
        kept[key] = min(rows[key], left // (len(rows) - place))
        left -= kept[key]
    return kept
