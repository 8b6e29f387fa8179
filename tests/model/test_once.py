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
        (b'{"x":' + b"[" * 1500 + b"]" * 1500 + b"}", Claim.LEAVE),
    ],
)
def test_only_what_nobody_else_has_is_taken(found: bytes | None, answer: Claim) -> None:
    assert claim(found, ME) is answer


def test_a_holder_is_read_as_it_was_written() -> None:
    assert decoded(encoded(ME)) == ME
    assert decoded(b"nothing").address == "an unknown machine"


def test_an_app_ends_before_its_lease() -> None:
    assert 2 * RENEW_SECONDS < STOP_AFTER_SECONDS < KILL_AFTER_SECONDS < LEASE_SECONDS
    # The daemon before has renewed the lease, or its app is dead by now.
    assert KILL_AFTER_SECONDS + ADOPT_SECONDS < LEASE_SECONDS
