"""Which machine of a fleet may run an app that must not run twice."""

import pytest

from emperor.model.once import (
    ADOPT_SECONDS,
    KILL_AFTER_SECONDS,
    LEASE_SECONDS,
    RENEW_SECONDS,
    STOP_AFTER_SECONDS,
    Claim,
    Holder,
    MigrationRequest,
    claim,
    decoded,
    encoded,
    migrates,
    request_after,
    request_delay,
)

ME, OTHER = Holder("192.0.2.1", "a"), Holder("192.0.2.2", "b")


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (None, Claim.TAKE),
        (encoded(ME), Claim.RESUME),
        (encoded(OTHER), Claim.LEAVE),
        (encoded(Holder(ME.address, OTHER.machine)), Claim.LEAVE),
        (b"{}", Claim.LEAVE),
        (b"\xff", Claim.LEAVE),
        (b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", Claim.LEAVE),
    ],
)
def test_only_what_nobody_else_has_is_taken(found: bytes | None, answer: Claim) -> None:
    assert claim(found, {ME}) is answer


def test_a_holder_is_read_as_it_was_written() -> None:
    assert decoded(encoded(ME)) == ME
    for value in (b"nothing", encoded(Holder("\x1b[2J", "a")), encoded(Holder("a" * 999, "a"))):
        assert decoded(value).address == "an unknown machine"


def test_an_app_ends_before_its_lease() -> None:
    assert 2 * RENEW_SECONDS < STOP_AFTER_SECONDS < KILL_AFTER_SECONDS < LEASE_SECONDS
    # The daemon before has renewed the lease, or its app is dead by now.
    assert KILL_AFTER_SECONDS + ADOPT_SECONDS < LEASE_SECONDS


@pytest.mark.parametrize(
    ("requested_for", "answer"), [(0.0, False), (2.9, False), (3.0, True), (3600.0, True)]
)
def test_an_app_goes_where_its_visitors_are(requested_for: float, answer: bool) -> None:
    assert migrates(requested_for) is answer


@pytest.mark.parametrize(
    ("before", "since_visitor", "since"),
    [
        (None, None, 100.0),
        (None, 5.0, 100.0),
        (MigrationRequest("there", 90.0), None, 90.0),
        (MigrationRequest("there", 90.0), 30.0, 90.0),
        (MigrationRequest("there", 90.0), 10.0, 90.0),
        # One came here meanwhile.
        (MigrationRequest("there", 90.0), 9.9, 100.0),
        (MigrationRequest("there", 90.0), 0.0, 100.0),
        (MigrationRequest("elsewhere", 90.0), None, 100.0),
    ],
)
def test_visitors_are_there_since_the_last_one_was_here(
    before: MigrationRequest | None, since_visitor: float | None, since: float
) -> None:
    assert request_after(before, "there", 100.0, since_visitor) == MigrationRequest("there", since)


def test_visitors_are_told_of_soon_at_first() -> None:
    delays = [request_delay(told) for told in range(20)]
    assert delays == sorted(delays)
    first = [sum(delays[:number]) for number in range(len(delays))]
    assert any(migrates(seconds) for seconds in first[:5])
    assert delays[-1] > 10 * delays[0]
