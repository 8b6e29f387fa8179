"""What is kept of the past: the kind of a cause, what a batch takes, and whose entries give way."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.cause import Boot, Cause
from emperor.model.history import (
    MOST_WAITING,
    Batch,
    Hit,
    PastStop,
    StopKind,
    Stopped,
    Subject,
    hour_of,
    shares,
    wake_of,
)

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
A, B = Subject("a.example", 1000), Subject("b.example", None)


def test_a_wake_counts_from_its_demand() -> None:
    cause = Cause("hit", 100.0, client="203.0.113.9").after_drain(101.0).at_turn(101.5)
    wake = wake_of(cause, Boot(cause, 101.6, 101.75, 101.8, 102.0), NOON)
    assert (wake.drained_ms, wake.turn_ms, wake.spawned_ms) == (1000.0, 1500.0, 1600.0)
    assert (wake.loaded_ms, wake.accepting_ms, wake.first_reply_ms) == (1750.0, 1800.0, 2000.0)
    assert wake_of(cause, None, NOON).spawned_ms is None


def _stopped(subject: Subject = A) -> Stopped:
    return Stopped(subject, PastStop(NOON, StopKind.STOPPED, "idle", 1.0))


def test_hits_are_counted_by_the_hour() -> None:
    batch = Batch()
    assert not batch
    for subject, minutes in ((A, 0), (A, 59), (A, 60), (B, 0)):
        batch.add(Hit(subject, NOON + timedelta(minutes=minutes)))
    noon = hour_of(NOON)
    assert batch.hits == {(A, noon): 2, (A, noon + 3600): 1, (B, noon): 1}
    assert batch


def test_a_batch_takes_no_more_than_its_bound() -> None:
    batch = Batch()
    for number in range(MOST_WAITING + 3):
        batch.add(Hit(A, NOON) if number % 2 else _stopped())
    assert len(batch.facts) + len(batch.hits) <= MOST_WAITING
    assert batch.lost == 0, "hits of one hour are one entry"
    for _ in range(MOST_WAITING):
        batch.add(_stopped())
    assert len(batch.facts) + len(batch.hits) == MOST_WAITING
    assert batch.lost


@pytest.mark.parametrize(
    ("rows", "most", "kept"),
    [
        ({}, 10, {}),
        ({"a": 3, "b": 4}, 10, {"a": 3, "b": 4}),
        ({"a": 3, "b": 40}, 10, {"a": 3, "b": 7}),
        ({"a": 30, "b": 40}, 10, {"a": 5, "b": 5}),
        ({"a": 1, "b": 40, "c": 50}, 10, {"a": 1, "b": 4, "c": 5}),
        ({"a": 5, "b": 5}, 0, {"a": 0, "b": 0}),
    ],
)
def test_who_has_most_gives_way(rows: dict[str, int], most: int, kept: dict[str, int]) -> None:
    assert shares(rows, most) == kept


@given(
    st.dictionaries(st.integers(0, 50), st.integers(0, 1000), max_size=20),
    st.integers(0, 3000),
)
def test_the_shares_fill_the_room_and_no_more(rows: dict[int, int], most: int) -> None:
    kept = shares(rows, most)
    assert kept.keys() == rows.keys()
    assert all(0 <= kept[key] <= rows[key] for key in rows)
    assert sum(kept.values()) == min(most, sum(rows.values()))
    cut = [kept[key] for key in rows if kept[key] < rows[key]]
    assert not cut or max(cut) - min(cut) <= 1, "those that give way are left alike"
