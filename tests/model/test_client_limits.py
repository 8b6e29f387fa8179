"""How many connections and requests of tenants are served on control.sock."""

import pytest

from emperor.model.client_limits import BURST, MOST_PER_TENANT, PER_SECOND, ClientLimits, Connection

ALICE, MALLORY = 1001, 1002


def _taken(
    limits: ClientLimits, uid: int, most: int = 1000, *, is_stranger: bool = False
) -> list[Connection]:
    """Take limits until there is none, or as many as that."""
    found = (limits.take(uid, is_stranger=is_stranger) for _ in range(most))
    return [connection for connection in found if connection]


def test_a_tenant_has_so_many_and_leaves_the_others() -> None:
    limits = ClientLimits(2 * MOST_PER_TENANT)
    own = _taken(limits, MALLORY)
    assert len(own) == MOST_PER_TENANT
    assert len(_taken(limits, ALICE)) == MOST_PER_TENANT
    assert not _taken(limits, 1003), "all are taken"


def test_a_seat_is_free_again_when_its_connection_ends() -> None:
    limits = ClientLimits(100)
    first, *_ = _taken(limits, MALLORY)
    limits.leave(first)
    assert len(_taken(limits, MALLORY)) == 1


def test_many_uids_without_a_vassal_take_half_at_most() -> None:
    limits = ClientLimits(100)
    strangers = [_taken(limits, uid, 1, is_stranger=True) for uid in range(100_000, 100_200)]
    taken = [connection for each in strangers for connection in each]
    assert len(taken) == 50
    assert _taken(limits, ALICE, 1)
    for connection in taken:
        limits.leave(connection)
    assert _taken(limits, 100_000, 1, is_stranger=True)


def test_a_tenant_that_asks_without_end_has_to_wait() -> None:
    limits = ClientLimits(100)
    assert [limits.delay(MALLORY, 0.0) for _ in range(BURST)] == [0.0] * BURST
    waits = [limits.delay(MALLORY, 0.0) for _ in range(3)]
    assert waits == pytest.approx([1 / PER_SECOND, 2 / PER_SECOND, 3 / PER_SECOND])
    assert limits.delay(ALICE, 0.0) == 0
    assert limits.delay(MALLORY, 60.0) == 0, "it was quiet meanwhile"
