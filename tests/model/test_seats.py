"""How many connections and requests of tenants are served on control.sock."""

import pytest

from emperor.model.seats import BURST, MOST_PER_TENANT, PER_SECOND, Seat, Seats

ALICE, MALLORY = 1001, 1002


def _taken(seats: Seats, uid: int, most: int = 1000, *, is_stranger: bool = False) -> list[Seat]:
    """Take seats until there is none, or as many as that."""
    found = (seats.take(uid, is_stranger=is_stranger) for _ in range(most))
    return [seat for seat in found if seat]


def test_a_tenant_has_so_many_and_leaves_the_others() -> None:
    seats = Seats(2 * MOST_PER_TENANT)
    own = _taken(seats, MALLORY)
    assert len(own) == MOST_PER_TENANT
    assert len(_taken(seats, ALICE)) == MOST_PER_TENANT
    assert not _taken(seats, 1003), "all are taken"


def test_a_seat_is_free_again_when_its_connection_ends() -> None:
    seats = Seats(100)
    first, *_ = _taken(seats, MALLORY)
    seats.leave(first)
    assert len(_taken(seats, MALLORY)) == 1


def test_many_uids_without_a_vassal_take_half_at_most() -> None:
    seats = Seats(100)
    strangers = [_taken(seats, uid, 1, is_stranger=True) for uid in range(100_000, 100_200)]
    taken = [seat for each in strangers for seat in each]
    assert len(taken) == 50
    assert _taken(seats, ALICE, 1)
    for seat in taken:
        seats.leave(seat)
    assert _taken(seats, 100_000, 1, is_stranger=True)


def test_a_tenant_that_asks_without_end_has_to_wait() -> None:
    seats = Seats(100)
    assert [seats.delay(MALLORY, 0.0) for _ in range(BURST)] == [0.0] * BURST
    waits = [seats.delay(MALLORY, 0.0) for _ in range(3)]
    assert waits == pytest.approx([1 / PER_SECOND, 2 / PER_SECOND, 3 / PER_SECOND])
    assert seats.delay(ALICE, 0.0) == 0
    assert seats.delay(MALLORY, 60.0) == 0, "it was quiet meanwhile"
