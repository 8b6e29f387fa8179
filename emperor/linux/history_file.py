"""The file that keeps the history: SQLite in WAL mode, so that a crash costs a moment and no more.

It is in the folder for what outlasts the daemon (linux/state_dir). Only root can read it: it
has the addresses of visitors. All of this runs in one thread (linux/history_thread).
"""

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from emperor.linux import history_rows as rows
from emperor.model.history import (
    HOUR_SECONDS,
    Batch,
    Choice,
    NoHistory,
    Numbers,
    Past,
    Pulse,
    Replied,
    Started,
    shares,
)

log = logging.getLogger("emperord.history_file")

T = TypeVar("T")

_MODE = 0o600
# Each is what leads to the next version of the schema. The number of the version is in the file.
VERSIONS = (
    """
    CREATE TABLE starts (
        domain TEXT NOT NULL, uid INTEGER NOT NULL, at INTEGER NOT NULL, generation INTEGER,
        cause TEXT NOT NULL, outcome TEXT NOT NULL, started TEXT, error TEXT,
        caused_by TEXT NOT NULL, client TEXT, request_id TEXT, method TEXT, path TEXT, agent TEXT,
        spawned_ms REAL, loaded_ms REAL, accepting_ms REAL, first_reply_ms REAL,
        drained_ms REAL, turn_ms REAL
    );
    CREATE INDEX starts_of_vassal ON starts (domain, at);
    CREATE INDEX starts_of_user ON starts (uid, at);
    CREATE TABLE stops (
        domain TEXT NOT NULL, uid INTEGER NOT NULL, at INTEGER NOT NULL,
        kind TEXT NOT NULL, reason TEXT NOT NULL, served_seconds REAL NOT NULL
    );
    CREATE INDEX stops_of_vassal ON stops (domain, at);
    CREATE INDEX stops_of_user ON stops (uid, at);
    CREATE TABLE hits (
        domain TEXT NOT NULL, uid INTEGER NOT NULL, at INTEGER NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (domain, uid, at)
    ) WITHOUT ROWID;
    CREATE INDEX hits_of_user ON hits (uid, at);
    """,
    "ALTER TABLE starts ADD COLUMN traceparent TEXT;",
    """
    CREATE INDEX starts_by_time ON starts (at);
    CREATE INDEX stops_by_time ON stops (at);
    CREATE INDEX hits_by_time ON hits (at);
    """,
)
_SETTINGS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "trusted_schema = OFF",
    "cache_size = -512",
    f"journal_size_limit = {1 << 22}",
)
_BUSY_SECONDS = 2.0
# So many of a hundred are left when there are too many rows. Finding out whose they are takes long.
_LEFT_PERCENT = 95
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class HistoryFile:
    """The file `history.db` of a folder. It has at most `most_rows` entries, none of which is older
    than `max_age` seconds. It is opened when it is needed, and made where there is none. A damaged
    file is set aside."""

    def __init__(self, folder: Path, most_rows: int, max_age: float) -> None:
        self.path = folder / "history.db"
        self._most_rows = most_rows
        self._max_age = max_age
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._rows = 0
        self._dropped_at = 0.0

    def open(self) -> None:
        """See that it can be written. Raises NoHistory."""
        self._do(lambda db: None)

    def close(self) -> None:
        """Close it; what follows opens it again."""
        db, self._db = self._db, None
        if db:
            with suppress(sqlite3.Error):
                db.close()

    def write(self, batch: Batch) -> None:
        """Write all of it or nothing, and drop what is too old or too much. Raises NoHistory."""
        self._do(lambda db: self._write(db, batch))

    def past(self, choice: Choice, most: int) -> Past:
        """The last starts and stops, at most so many of each, and all hours. Raises NoHistory."""

        def read(db: sqlite3.Connection) -> Past:
            starts, stops = rows.starts(db, choice, most), rows.stops(db, choice, most)
            return Past(starts, stops, rows.hours(db, choice), rows.oldest(db, choice.tenant))

        return self._read(read)

    def numbers(self, choice: Choice) -> Numbers:
        """The vassals in numbers. Raises NoHistory."""

        def read(db: sqlite3.Connection) -> Numbers:
            vassals, hours = rows.vassals(db, choice), rows.hours(db, choice)
            return Numbers(vassals, hours, rows.oldest(db, choice.tenant))

        return self._read(read)

    def pulse(self, day: Choice, hour: Choice) -> Pulse:
        """The hours of a day, and the minutes of an hour. Raises NoHistory."""
        return self._read(lambda db: Pulse(rows.hours(db, day), rows.minutes(db, hour)))

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Read. SQLite does not notice damage within a value."""
        try:
            return self._do(read)
        except (ValueError, TypeError, OverflowError) as error:
            raise NoHistory(
                f"cannot read the history in {self.path}: an entry is damaged: {error}; remove the"
                " file, and it begins anew"
            ) from error

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, and once more with a new file where this one turns out to be damaged."""
        try:
            try:
                return work(self._opened())
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                    raise
                self._set_aside(error)
                return work(self._opened())
        except (sqlite3.Error, OSError) as error:
            self.close()
            why = error.strerror if isinstance(error, OSError) else error
            raise NoHistory(f"cannot keep the history in {self.path}: {why}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._db and not self._is_in_place():
            log.warning("the history in %s was removed: it begins anew", self.path)
            self.close()
        if self._db is None:
            self._inode = _own_file(self.path)
            self._db = db = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, check_same_thread=False
            )
            for setting in _SETTINGS:
                db.execute(f"PRAGMA {setting}")
            self._upgrade(db)
            self._drop_old(db)
            self._rows = sum(_count(db, table) for table in rows.TABLES)
        return self._db

    def _is_in_place(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def _upgrade(self, db: sqlite3.Connection) -> None:
        """Make of an earlier version of the schema the present one. Raises NoHistory."""
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(VERSIONS):
            self.close()
            raise NoHistory(
                f"cannot keep the history in {self.path}: a later version of emperord has written"
                " it; install that, or remove the file"
            )
        for number, script in enumerate(VERSIONS[version:], version + 1):
            db.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")

    def _set_aside(self, error: sqlite3.Error) -> None:
        self.close()
        aside = self.path.with_name(f"{self.path.name}.damaged")
        self.path.replace(aside)
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        log.warning("the history is damaged (%s), is now %s, and begins anew", error, aside)

    def _write(self, db: sqlite3.Connection, batch: Batch) -> None:
        with db:
            for fact in batch.facts:
                match fact:
                    case Started():
                        rows.add_start(db, fact)
                    case Replied():
                        rows.add_reply(db, fact)
                    case _:
                        rows.add_stop(db, fact)
            rows.add_hits(db, batch.hits)
        self._rows += len(batch.facts) + len(batch.hits)
        if time.time() >= self._dropped_at + HOUR_SECONDS:
            self._drop_old(db)
        if self._rows > self._most_rows:
            self._drop_surplus(db)

    def _drop_old(self, db: sqlite3.Connection) -> None:
        self._dropped_at = time.time()
        with db:
            for table in rows.TABLES:
                oldest = int((self._dropped_at - self._max_age) * 1000)
                db.execute(f"DELETE FROM {table} WHERE at < ?", (oldest,))

    def _drop_surplus(self, db: sqlite3.Connection) -> None:
        """Drop the oldest entries of the users with the most, and of their apps with the most."""
        with db:
            counted = rows.counted(db)
            kept = self._most_rows * _LEFT_PERCENT // 100
            of_users = shares({uid: sum(of.values()) for uid, of in counted.items()}, kept)
            fewer = {
                (domain, uid): number
                for uid, of in counted.items()
                for domain, number in shares(of, of_users[uid]).items()
                if number < of[domain]
            }
            rows.drop_all_but(db, fewer)
        self._rows = sum(_count(db, table) for table in rows.TABLES)


def _count(db: sqlite3.Connection, table: str) -> int:
    (number,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(number)


def _own_file(path: Path) -> int:
    """The inode of the file, which is made where there is none. Raises OSError where it is not the
    daemon's own: SQLite would follow a link."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, _MODE)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
            raise PermissionError(0, "it is not a file of emperord's")
        return info.st_ino
    finally:
        os.close(fd)
