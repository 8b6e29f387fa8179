"""Which requests may be held, how descriptors are divided, and when a burst is reported."""

import pytest

from emperor.model.admission import QUIET_SECONDS, UNKNOWN_HOSTS, Admission, Bursts, Limit
from emperor.model.fd_budget import FdBudget, limit_for
from emperor.model.settings import read_settings


def admission(limit: int = 1000, **flags: str) -> Admission:
    flags = {name.replace("_", "-"): value for name, value in flags.items()}
    return Admission(read_settings("", "no file", flags), FdBudget(limit))


def test_one_domain_cannot_take_the_places_of_the_others() -> None:
    held = admission(max_held="3", max_held_per_domain="2")
    with held.holding("a"), held.holding("a"):
        assert held.rejection("a", 10) is Limit.DOMAIN
        assert held.rejection("b", 10) is None
        with held.holding("b"):
            assert held.rejection("c", 10) is Limit.OVERALL
            assert (held.held("a"), held.held("b"), held.total) == (2, 1, 3)
    assert (held.held("a"), held.total, held.turned_away) == (0, 0, 2)
    assert held.rejection("a", 10) is None


def test_made_up_hosts_cannot_take_the_places_of_vassals() -> None:
    held = admission(max_held="16")
    with held.holding(UNKNOWN_HOSTS), held.holding(UNKNOWN_HOSTS):
        assert held.rejection(UNKNOWN_HOSTS, 10) is Limit.UNKNOWN_HOSTS
        assert held.rejection("a", 10) is None
    assert held.rejection(UNKNOWN_HOSTS, 10) is None


def test_zero_means_no_limit_except_for_descriptors() -> None:
    held = admission(limit=800, max_held="0", max_held_per_domain="0")
    with held.holding("a"):
        assert held.rejection("a", 699) is None
        assert held.rejection("a", 700) is Limit.DESCRIPTORS


def test_by_default_one_app_may_hold_half_of_the_requests() -> None:
    held = admission(limit=65536)
    requests = [held.holding("a") for _ in range(6000)]
    for request in requests:
        assert held.rejection("a", 10) is None
        request.__enter__()
    assert held.rejection("a", 10) is Limit.DOMAIN
    assert held.rejection("b", 10) is None


@pytest.mark.parametrize("limit", [256, 1024, 20_000, 65_536])
def test_vassals_and_requests_share_the_descriptors(limit: int) -> None:
    shares = FdBudget(limit)
    assert shares.vassals < shares.held < shares.accepted < limit
    assert limit_for(shares.vassals) <= limit
    assert FdBudget(limit_for(limit)).vassals >= limit


def test_each_burst_is_reported_once() -> None:
    bursts = Bursts()
    assert bursts.begins("a", 5.0)
    assert bursts.begins("b", 5.0)
    assert not bursts.begins("a", 5.0 + QUIET_SECONDS)
    assert not bursts.begins("a", 5.0 + 2 * QUIET_SECONDS), "the burst goes on"
    assert bursts.begins("a", 5.1 + 3 * QUIET_SECONDS)
