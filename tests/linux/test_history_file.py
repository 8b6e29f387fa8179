"""The file of the history: what is written is read, it stays within its bounds, and a file that
cannot be used costs the history alone."""

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emperor.linux.history_file import VERSIONS, HistoryFile
from emperor.linux.history_thread import HistoryThread
from emperor.model.cause import CauseKind, StartMethod
from emperor.model.history import (
    Batch,
    Choice,
    Fact,
    Hit,
    Hour,
    NoHistory,
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
from tests.faults.disks import full, memory

NOW = datetime.fromtimestamp(int(time.time()) // 3600 * 3600, UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
ALICE, MALLORY, DAEMON = 1001, 1002, None
DAY, MONTH = 86_400.0, 30 * 86_400.0
BY_ORDER = (CauseKind.ORDER, StartOutcome.ACCEPTED)
FAILED = (CauseKind.HIT, StartOutcome.FAILED)
# Halves of a surrogate pair, which SQLite refuses, and a quote.
HOSTILE = "\udcff'; DROP TABLE starts; --"


def batch(*facts: Fact) -> Batch:
    """These facts in one batch."""
    made = Batch()
    for fact in facts:
        made.add(fact)
    return made


def wake(at: datetime = NOW, accepting_ms: float | None = 101.5) -> Wake:
    """A wake by a visitor."""
    return Wake("hit", "203.0.113.9", "7f3c", "GET", "/cart", "curl/8.0", at, 1.5, 90.0,
                accepting_ms, None, None, 0.5)  # fmt: skip


def start(
    domain: str = "a.example",
    uid: int | None = ALICE,
    at: datetime = NOW,
    accepting_ms: float | None = 101.5,
    kind: tuple[CauseKind, StartOutcome] = (CauseKind.HIT, StartOutcome.ACCEPTED),
) -> Started:
    """A start that has come to its end."""
    cause, outcome = kind
    error = "exit status 22" if outcome is StartOutcome.FAILED else None
    told = PastStart(wake(at, accepting_ms), cause, outcome, "by exec: bases = off", error)
    return Started(Subject(domain, uid), 7, told, StartMethod.EXEC, 0.1)


def stop(
    domain: str = "a.example",
    uid: int | None = ALICE,
    at: datetime = NOW,
    kind: StopKind = StopKind.STOPPED,
) -> Stopped:
    """An app that slept."""
    return Stopped(Subject(domain, uid), PastStop(at, kind, "idle", 12.5))


def ago(**parts: float) -> datetime:
    """A time before NOW."""
    return NOW - timedelta(**parts)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HistoryFile]:
    """A history of a month, of at most 1000 entries."""
    with closing(HistoryFile(tmp_path, 1000, MONTH)) as file:
        yield file


def rows(file: HistoryFile) -> int:
    """How many entries there are."""
    with closing(sqlite3.connect(file.path)) as db:
        return sum(
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("starts", "stops", "hits")
        )


ALL = Choice(LONG_AGO)


def test_what_was_written_is_read_by_the_next_daemon(file: HistoryFile, tmp_path: Path) -> None:
    started, stopped = start(at=ago(minutes=5)), stop(uid=DAEMON, at=ago(minutes=1))
    hit = Hit(Subject("a.example", ALICE), ago(minutes=5))
    file.write(batch(hit, hit, started, stopped))
    file.close()
    with closing(HistoryFile(tmp_path, 1000, MONTH)) as later:
        past = later.past(ALL, 10)
    assert past.starts == (started.start,)
    assert past.stops == (stopped.stop,)
    assert past.hours == (Hour(ago(hours=1), hits=2, starts=1, failures=0),)
    assert past.kept_since == ago(hours=1)


def test_only_root_can_read_it(file: HistoryFile, tmp_path: Path) -> None:
    file.write(batch(start()))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("history.db", "history.db-wal", "history.db-shm"), 0o600)
    file.close()
    assert os.listdir(tmp_path) == ["history.db"]


def test_a_first_reply_completes_the_newest_start_of_its_number(file: HistoryFile) -> None:
    earlier, later = start(at=ago(hours=3)), start(at=ago(hours=1))
    replied = replace(later.start, wake=replace(later.start.wake, first_reply_ms=120.0))
    file.write(batch(earlier, start("b.example"), later))
    file.write(batch(Replied(later.subject, 7, replied, later.method)))
    replies = [
        each.wake.first_reply_ms
        for each in file.past(replace(ALL, domains=("a.example",)), 9).starts
    ]
    assert replies == [None, 120.0]


def test_what_visitors_write_is_text_and_nothing_else(file: HistoryFile) -> None:
    hostile = start("b.example")
    told = replace(hostile.start, error=HOSTILE, wake=replace(wake(), path=HOSTILE, agent=HOSTILE))
    file.write(batch(replace(hostile, start=told), stop()))
    [read] = file.past(ALL, 10).starts
    assert read.error == read.wake.agent == HOSTILE.replace("\udcff", "?")


def test_a_tenant_is_told_of_the_time_when_the_app_was_its_own(file: HistoryFile) -> None:
    hits = (Hit(Subject("a.example", uid), NOW) for uid in (ALICE, MALLORY, DAEMON))
    file.write(batch(start(uid=MALLORY, at=ago(days=3)), stop(uid=DAEMON), start(), *hits))
    past = file.past(Choice(LONG_AGO, ("a.example",), MALLORY), 10)
    assert (len(past.starts), len(past.stops), past.kept_since) == (1, 0, ago(days=3))
    assert [hour.hits for hour in past.hours] == [0, 1]
    assert file.past(Choice(LONG_AGO, tenant=ALICE), 10).kept_since == NOW
    of_alice = file.numbers(Choice(LONG_AGO, tenant=ALICE)).vassals
    assert [(each.starts, each.hits) for each in of_alice] == [(1, 1)]
    assert file.numbers(Choice(LONG_AGO, tenant=4711)).vassals == ()


def test_the_last_entries_are_told_the_oldest_first(file: HistoryFile) -> None:
    file.write(batch(*(start(at=ago(minutes=number)) for number in (1, 4, 2, 3))))
    told = [each.wake.at for each in file.past(ALL, 3).starts]
    assert told == [ago(minutes=3), ago(minutes=2), ago(minutes=1)]
    assert len(file.past(replace(ALL, since=ago(minutes=2)), 10).starts) == 2


def test_vassals_are_told_in_numbers(file: HistoryFile) -> None:
    file.write(
        batch(
            *(start(accepting_ms=ms) for ms in (100.0, 300.0, 120.0, 110.0)),
            start(accepting_ms=9000.0, kind=BY_ORDER),
            start(accepting_ms=None, kind=FAILED),
            stop(kind=StopKind.DIED),
            stop(),
            *(Hit(Subject("a.example", ALICE), NOW) for _ in range(5)),
            start("b.example", DAEMON, at=ago(days=2)),
            stop("c.example", at=ago(minutes=1)),
        )
    )
    numbers = file.numbers(replace(ALL, since=ago(days=1)))
    assert numbers.vassals == (
        VassalStats("a.example", starts=6, wakes=5, failures=2, hits=5,
                    median_wake_ms=115.0, slowest_wake_ms=300.0),
        VassalStats("c.example", 0, 0, 0, 0, None, None),
    )  # fmt: skip
    assert numbers.hours == (Hour(NOW, hits=5, starts=6, failures=2),)
    assert numbers.kept_since == ago(days=2)
    of_two = file.numbers(replace(ALL, domains=("b.example", "nobody.example")))
    assert [each.name for each in of_two.vassals] == ["b.example"]


def test_the_hour_in_which_the_time_begins_counts(file: HistoryFile) -> None:
    file.write(batch(Hit(Subject("a.example", ALICE), ago(minutes=50))))
    assert file.numbers(Choice(ago(minutes=10))).hours == (Hour(ago(hours=1), 1, 0, 0),)
    assert file.numbers(Choice(NOW)).hours == ()


def test_what_is_too_old_is_dropped(file: HistoryFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write(batch(start(at=ago(days=29)), stop(at=ago(days=29)), start()))
    assert rows(file) == 3
    in_two_days = time.time() + 2 * DAY
    monkeypatch.setattr(time, "time", lambda: in_two_days)
    file.write(batch(stop()))
    assert rows(file) == 2


def test_a_shorter_age_counts_from_the_next_start_on(file: HistoryFile, tmp_path: Path) -> None:
    file.write(batch(start(at=ago(days=3)), start()))
    file.close()
    with closing(HistoryFile(tmp_path, 1000, DAY)) as later:
        later.open()
        assert rows(later) == 1


def test_no_app_pushes_out_the_history_of_another(file: HistoryFile) -> None:
    file.write(batch(*(start("a.example", ALICE, at=ago(days=2 + n)) for n in range(20))))
    for part in range(12):
        minutes = [part * 100 + n for n in range(100)]
        storm = (stop("storm.example", MALLORY, at=ago(minutes=n)) for n in minutes)
        file.write(batch(*storm))
    file.write(batch(*(start("calm.example", MALLORY, at=ago(days=9 + n)) for n in range(10))))
    assert rows(file) <= 1000
    assert len(file.past(Choice(LONG_AGO, ("a.example",)), 100).starts) == 20
    assert len(file.past(Choice(LONG_AGO, ("calm.example",)), 100).starts) == 10
    kept = file.past(Choice(LONG_AGO, ("storm.example",)), 2000).stops
    assert kept[-1].at == ago(minutes=0), "the newest ones are kept"


def test_an_earlier_version_of_the_file_is_brought_up(
    file: HistoryFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write(batch(start()))
    file.close()
    added = (*VERSIONS, "ALTER TABLE stops ADD COLUMN remark TEXT;")
    monkeypatch.setattr("emperor.linux.history_file.VERSIONS", added)
    with closing(HistoryFile(tmp_path, 1000, MONTH)) as later:
        assert len(later.past(ALL, 10).starts) == 1
        with closing(sqlite3.connect(later.path)) as db:
            assert db.execute("SELECT remark FROM stops").fetchall() == []
    monkeypatch.undo()
    with pytest.raises(NoHistory, match="a later version of emperord has written it"):
        file.write(batch(stop()))
    assert rows(file) == 1, "it is left as it is"


def test_a_file_that_is_gone_begins_anew(
    file: HistoryFile, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(batch(start()))
    for path in file.path.parent.iterdir():
        path.unlink()
    file.write(batch(stop()))
    file.write(batch(stop()))
    assert rows(file) == 2
    assert [record.message for record in caplog.records] == [
        f"the history in {file.path} was removed: it begins anew"
    ]


@pytest.mark.parametrize("where", ["head", "middle", "all"])
def test_a_damaged_file_is_set_aside(
    file: HistoryFile, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    file.write(batch(*(start(at=ago(minutes=n)) for n in range(300))))
    file.close()
    data = file.path.read_bytes()
    places = {"head": (0, 100), "middle": (4096, len(data) // 2), "all": (0, len(data))}
    first, last = places[where]
    damaged = data[:first] + b"\xa5" * (last - first) + data[last:]
    file.path.write_bytes(damaged)
    file.write(batch(start(), stop()))
    assert rows(file) == 2
    assert file.path.with_name("history.db.damaged").read_bytes() == damaged
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "the history is damaged" in record.message


def _of_another_user(path: Path) -> None:
    path.touch()
    os.chown(path, 33, 33)


def test_words_of_a_later_version_are_left_out(file: HistoryFile) -> None:
    file.write(batch(start(at=ago(hours=1)), start(), stop(at=ago(hours=1)), stop()))
    with closing(sqlite3.connect(file.path)) as db, db:
        db.execute("UPDATE starts SET cause = 'napped' WHERE at = (SELECT min(at) FROM starts)")
        db.execute("UPDATE starts SET outcome = 'froze' WHERE at = (SELECT max(at) FROM starts)")
        db.execute("UPDATE stops SET kind = 'froze' WHERE at = (SELECT max(at) FROM stops)")
    past = file.past(ALL, 10)
    assert [each.cause for each in past.starts] == [CauseKind.OTHER]
    assert [each.at for each in past.stops] == [ago(hours=1)]


def test_a_value_that_is_damaged_is_told_as_such(file: HistoryFile) -> None:
    file.write(batch(start()))
    with closing(sqlite3.connect(file.path)) as db, db:
        db.execute("UPDATE starts SET at = 9e18")
    with pytest.raises(NoHistory, match=r"an entry is damaged: .*; remove the file"):
        file.past(ALL, 10)


async def test_a_disk_that_only_lets_read_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "disk"
    with memory(place, "size=256k,ro"):
        thread = HistoryThread(lambda: HistoryFile(place, 1000, MONTH))
        await thread.open()
        await thread.write(batch(start()))
    [record] = caplog.records
    assert "Read-only file system; the apps are not affected" in record.message


async def test_a_full_disk_is_told_once_and_its_end_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    place = tmp_path / "disk"
    with memory(place, "size=256k"):
        thread = HistoryThread(lambda: HistoryFile(place, 1000, MONTH))
        await thread.open()
        await thread.write(batch(start()))
        with full(place):
            for _ in range(5):
                await thread.write(batch(*(start() for _ in range(500))))
        await thread.write(batch(stop()))
        past = await thread.ask(lambda store: store.past(ALL, 10))
        await thread.close()
    assert (len(past.starts), len(past.stops)) == (1, 1)
    told = [record.message for record in caplog.records]
    path = place / "history.db"
    assert told == [
        f"cannot keep the history in {path}: database or disk is full; the apps are not affected",
        f"the history is kept in {path} again",
    ]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to("/etc/passwd"), "Too many levels of symbolic links"),
        (os.mkfifo, "it is not a file of emperord's"),
        (_of_another_user, "it is not a file of emperord's"),
    ],
    ids=["directory", "link", "fifo", "of another user"],
)
async def test_what_is_no_file_of_the_daemon_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None], why: str
) -> None:
    spoil(tmp_path / "history.db")
    thread = HistoryThread(lambda: HistoryFile(tmp_path, 1000, MONTH))
    await thread.open()
    await thread.write(batch(start()))
    [record] = caplog.records
    path = tmp_path / "history.db"
    assert record.message == f"cannot keep the history in {path}: {why}; the apps are not affected"


async def test_a_fault_costs_the_entries_of_a_second(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    thread = HistoryThread(lambda: HistoryFile(tmp_path, 1000, MONTH))
    wrong = replace(stop(), stop=replace(stop().stop, served_seconds=[]))  # type: ignore[arg-type]
    await thread.write(Batch([wrong, start()]))
    await thread.write(batch(stop()))
    past = await thread.ask(lambda store: store.past(ALL, 10))
    await thread.close()
    assert (len(past.starts), len(past.stops)) == (0, 1)
    assert "cannot" in caplog.text


async def test_a_python_without_sqlite_keeps_no_history(caplog: pytest.LogCaptureFixture) -> None:
    def make() -> HistoryFile:
        raise ImportError("No module named '_sqlite3'")

    thread = HistoryThread(make)
    await thread.open()
    await thread.write(batch(start()))
    with pytest.raises(NoHistory, match="_sqlite3"):
        await thread.ask(lambda store: store.numbers(ALL))
    assert len(caplog.records) == 1


async def test_a_fault_in_opening_the_history_costs_the_history_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def faulty() -> HistoryFile:
        raise ZeroDivisionError

    await HistoryThread(faulty).open()
    assert "cannot open the history: a fault in emperord" in caplog.text
