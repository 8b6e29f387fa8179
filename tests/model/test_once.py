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
    claim,
    decoded,
    encoded,
    gives_away,
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
    assert claim(found, ME) is answer


def test_a_holder_is_read_as_it_was_written() -> None:
    assert decoded(encoded(ME)) == ME
    for value in (b"nothing", encoded(Holder("\x1b[2J", "a")), encoded(Holder("a" * 999, "a"))):
        assert decoded(value).address == "an unknown machine"


def test_an_app_ends_before_its_lease() -> None:
    assert 2 * RENEW_SECONDS < STOP_AFTER_SECONDS < KILL_AFTER_SECONDS < LEASE_SECONDS
    # The daemon before has renewed the lease, or its app is dead by now.
    assert KILL_AFTER_SECONDS + ADOPT_SECONDS < LEASE_SECONDS


@pytest.mark.parametrize(
    ("since_visitor", "answer"), [(None, True), (0.0, False), (29.9, False), (30.0, True)]
)
def test_an_app_goes_where_its_visitors_are(since_visitor: float | None, answer: bool) -> None:
    assert gives_away(since_visitor) is answer
