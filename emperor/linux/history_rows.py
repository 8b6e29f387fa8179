"""The rows of the file of the history: how a fact becomes one, and what is read of them.

Times are milliseconds since 1970. The user -1 is that of the daemon.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from emperor.model.cause import VISITORS, CauseKind
from emperor.model.history import (
    HOUR_SECONDS,
    Choice,
    Hour,
    Minute,
    PastStart,
    PastStop,
    Replied,
    Started,
    StartOutcome,
    StopKind,
    Stopped,
    Subject,
    VassalStats,
)
from emperor.model.status import Wake

TABLES = ("starts", "stops", "hits")
_DAEMON = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(seconds=HOUR_SECONDS)
_WAKE = tuple(field.name for field in fields(Wake))
# Column of a field of a Wake: `by` is a word of SQL.
_COLUMNS = tuple({"by": "caused_by"}.get(name, name) for name in _WAKE)
_START = ("domain", "uid", "generation", "cause", "outcome", "started", "error", *_COLUMNS)
_INSERT = f"INSERT INTO starts ({', '.join(_START)}) VALUES ({', '.join('?' * len(_START))})"
_VISITORS = ", ".join(f"'{kind.value}'" for kind in VISITORS)
# A later version may have written others, which are left out.
_OUTCOMES = ", ".join(f"'{outcome.value}'" for outcome in StartOutcome)
_STOP_KINDS = ", ".join(f"'{kind.value}'" for kind in StopKind)


def add_start(db: sqlite3.Connection, fact: Started) -> None:
    """A row of `starts`."""
    start, subject = fact.start, fact.subject
    values = [subject.domain, _user(subject), fact.generation, start.cause.value,
              start.outcome.value, start.started, start.error]  # fmt: skip
    db.execute(_INSERT, [*map(_plain, values), *_of_wake(start.wake)])


def add_reply(db: sqlite3.Connection, fact: Replied) -> None:
    """Complete the newest row of that spawn. Numbers of spawns repeat after a stop."""
    db.execute(
        "UPDATE starts SET first_reply_ms = ? WHERE rowid = (SELECT max(rowid) FROM starts"
        " WHERE domain = ? AND uid = ? AND generation = ?)",
        (fact.start.wake.first_reply_ms, fact.subject.domain, _user(fact.subject), fact.generation),
    )


def add_stop(db: sqlite3.Connection, fact: Stopped) -> None:
    """A row of `stops`."""
    stop, subject = fact.stop, fact.subject
    values = [subject.domain, _user(subject), stop.at, stop.kind.value, stop.reason,
              stop.served_seconds]  # fmt: skip
    db.execute("INSERT INTO stops VALUES (?, ?, ?, ?, ?, ?)", [*map(_plain, values)])


def add_hits(db: sqlite3.Connection, hits: Mapping[tuple[Subject, int], int]) -> None:
    """Count them in the rows of their hours."""
    db.executemany(
        "INSERT INTO hits VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET number = number + excluded.number",
        [(who.domain, _user(who), hour * 1000, number) for (who, hour), number in hits.items()],
    )


def starts(db: sqlite3.Connection, choice: Choice, most: int) -> tuple[PastStart, ...]:
    """The last ones, the oldest first."""
    where, values = _where(choice)
    columns = ", ".join(("cause", "outcome", "started", "error", *_COLUMNS))
    found = db.execute(
        f"SELECT {columns} FROM starts WHERE {where} AND outcome IN ({_OUTCOMES})"
        " ORDER BY at DESC LIMIT ?",
        [*values, most],
    )
    return tuple(
        PastStart(_wake(rest), _kind(cause), StartOutcome(outcome), started, error)
        for cause, outcome, started, error, *rest in reversed(found.fetchall())
    )


def stops(db: sqlite3.Connection, choice: Choice, most: int) -> tuple[PastStop, ...]:
    """The last ones, the oldest first."""
    where, values = _where(choice)
    found = db.execute(
        "SELECT at, kind, reason, served_seconds FROM stops"
        f" WHERE {where} AND kind IN ({_STOP_KINDS}) ORDER BY at DESC LIMIT ?",
        [*values, most],
    )
    return tuple(
        PastStop(_time(at), StopKind(kind), reason, served)
        for at, kind, reason, served in reversed(found.fetchall())
    )


def hours(db: sqlite3.Connection, choice: Choice) -> tuple[Hour, ...]:
    """The hours in which something happened, the oldest first."""
    where, values = _where(choice)
    where_hours, values_of_hours = _where_hours(choice)
    hour = HOUR_SECONDS * 1000
    found = db.execute(
        "SELECT hour, sum(hits), sum(starts), sum(failures) FROM ("
        f" SELECT at AS hour, number AS hits, 0 AS starts, 0 AS failures FROM hits"
        f"  WHERE {where_hours}"
        f" UNION ALL SELECT at - at % {hour}, 0, 1, outcome = 'failed' FROM starts"
        f"  WHERE {where}"
        f" UNION ALL SELECT at - at % {hour}, 0, 0, kind = 'died' FROM stops WHERE {where}"
        ") GROUP BY hour ORDER BY hour",
        [*values_of_hours, *values, *values],
    )
    return tuple(Hour(_time(at), *numbers) for at, *numbers in found if any(numbers))


def minutes(db: sqlite3.Connection, choice: Choice) -> tuple[Minute, ...]:
    """The minutes in which something happened, the oldest first."""
    where, values = _where(choice)
    found = db.execute(
        "SELECT minute, sum(starts), sum(failures) FROM ("
        " SELECT at - at % 60000 AS minute, 1 AS starts, outcome = 'failed' AS failures"
        f"  FROM starts WHERE {where}"
        f" UNION ALL SELECT at - at % 60000, 0, kind = 'died' FROM stops WHERE {where}"
        ") GROUP BY minute ORDER BY minute",
        [*values, *values],
    )
    return tuple(Minute(_time(at), *numbers) for at, *numbers in found if any(numbers))


def vassals(db: sqlite3.Connection, choice: Choice) -> tuple[VassalStats, ...]:
    """Each vassal in numbers, by name."""
    where, values = _where(choice)
    where_hours, values_of_hours = _where_hours(choice)
    waits = f"outcome = 'accepted' AND cause IN ({_VISITORS})"
    found = db.execute(
        "SELECT domain, sum(starts), sum(wakes), sum(failures), sum(hits), max(slowest) FROM ("
        f" SELECT domain, 1 AS starts, cause IN ({_VISITORS}) AS wakes,"
        "   outcome = 'failed' AS failures, 0 AS hits,"
        f"  CASE WHEN {waits} THEN accepting_ms END AS slowest FROM starts WHERE {where}"
        f" UNION ALL SELECT domain, 0, 0, kind = 'died', 0, NULL FROM stops WHERE {where}"
        f" UNION ALL SELECT domain, 0, 0, 0, number, NULL FROM hits WHERE {where_hours}"
        ") GROUP BY domain ORDER BY domain",
        [*values, *values, *values_of_hours],
    )
    medians = dict(
        db.execute(
            "SELECT domain, avg(accepting_ms) FROM ("
            " SELECT domain, accepting_ms,"
            "  row_number() OVER (PARTITION BY domain ORDER BY accepting_ms) AS place,"
            "  count(*) OVER (PARTITION BY domain) AS number"
            f" FROM starts WHERE {where} AND {waits}"
            ") WHERE place IN ((number + 1) / 2, (number + 2) / 2) GROUP BY domain",
            values,
        )
    )
    return tuple(
        VassalStats(name, starts, wakes, failures, hits, _rounded(medians.get(name)), slowest)
        for name, starts, wakes, failures, hits, slowest in found
    )


def oldest(db: sqlite3.Connection, tenant: int | None) -> datetime | None:
    """The time of the oldest row."""
    where, values = ("", []) if tenant is None else (" WHERE uid = ?", [tenant] * 3)
    tables = " UNION ALL ".join(f"SELECT min(at) AS at FROM {table}{where}" for table in TABLES)
    (at,) = db.execute(f"SELECT min(at) FROM ({tables})", values).fetchone()
    return None if at is None else _time(at)


def counted(db: sqlite3.Connection) -> dict[int, Counter[str]]:
    """How many rows there are of each user, by the domain."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for table in TABLES:
        for uid, domain, number in db.execute(
            f"SELECT uid, domain, count(*) FROM {table} GROUP BY domain, uid"
        ):
            found[uid][domain] += number
    return found


def drop_all_but(db: sqlite3.Connection, kept: Mapping[tuple[str, int], int]) -> None:
    """Keep that many of the newest rows of each of these vassals (its domain and its user), or some
    fewer of the same moment."""
    db.execute("CREATE TEMP TABLE kept (domain, uid, number, PRIMARY KEY (domain, uid))")
    db.executemany("INSERT INTO kept VALUES (?, ?, ?)", [(*who, n) for who, n in kept.items()])
    every = " UNION ALL ".join(f"SELECT domain, uid, at FROM {table}" for table in TABLES)
    db.execute("CREATE TEMP TABLE dropped (domain, uid, at, PRIMARY KEY (domain, uid))")
    db.execute(
        "INSERT INTO dropped SELECT domain, uid, at FROM (SELECT domain, uid, at, number,"
        " row_number() OVER (PARTITION BY domain, uid ORDER BY at DESC) AS place"
        f" FROM ({every}) JOIN kept USING (domain, uid)) WHERE place = number + 1"
    )
    for table in TABLES:
        db.execute(
            f"DELETE FROM {table} WHERE at <= (SELECT at FROM dropped"
            f" WHERE dropped.domain = {table}.domain AND dropped.uid = {table}.uid)"
        )
    db.execute("DROP TABLE kept")
    db.execute("DROP TABLE dropped")


def _where(choice: Choice) -> tuple[str, list[Any]]:
    """A choice as a condition in SQL, and its values."""
    terms, values = ["at >= ?"], list[Any]([_number(choice.since)])
    if choice.domains:
        terms.append(f"domain IN ({', '.join('?' * len(choice.domains))})")
        values += choice.domains
    if choice.tenant is not None:
        terms.append("uid = ?")
        values.append(choice.tenant)
    return " AND ".join(terms), values


def _where_hours(choice: Choice) -> tuple[str, list[Any]]:
    """A choice among rows of hours as a condition, with the hour in which it begins."""
    return _where(replace(choice, since=_EPOCH + (choice.since - _EPOCH) // _HOUR * _HOUR))


def _of_wake(wake: Wake) -> Iterable[Any]:
    return (_plain(getattr(wake, name)) for name in _WAKE)


def _wake(values: Collection[Any]) -> Wake:
    of = dict(zip(_WAKE, values, strict=True))
    return Wake(**of | {"at": _time(of["at"])})


def _kind(cause: str) -> CauseKind:
    """A kind of a later version is any other."""
    try:
        return CauseKind(cause)
    except ValueError:
        return CauseKind.OTHER


def _user(subject: Subject) -> int:
    return _DAEMON if subject.uid is None else subject.uid


def _plain(value: Any) -> Any:
    """A value as SQLite takes it. It refuses halves of a surrogate pair."""
    if isinstance(value, datetime):
        return _number(value)
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _number(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _time(number: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=number)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
