"""Which requests may be held, how descriptors are divided, and when a burst is reported."""

from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.admission import QUIET_SECONDS, UNKNOWN_HOSTS, Admission, Bursts, Held, Limit
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
            assert held.rejection("b", 10) is Limit.OVERALL
            assert (held.held("a"), held.held("b"), held.total) == (2, 1, 3)
    assert (held.held("a"), held.total, held.turned_away) == (0, 0, 2)
    assert held.rejection("a", 10) is None


def test_made_up_hosts_cannot_take_the_places_of_vassals() -> None:
    held = admission(max_held="16")
    with held.holding(UNKNOWN_HOSTS), held.holding(UNKNOWN_HOSTS):
        assert held.rejection(UNKNOWN_HOSTS, 10) is Limit.UNKNOWN_HOSTS
        assert held.rejection("a", 10) is None
    assert held.rejection(UNKNOWN_HOSTS, 10) is None


ALICE, MALLORY = 1001, 1002


class Visitors:
    """Requests that are held until they are turned away."""

    def __init__(self, **flags: str) -> None:
        self.admission = admission(1000, **flags)
        self.held: list[Held] = []
        self._stack = ExitStack()

    def ask(self, tenant: int | None, domain: str, descriptor: int = 10) -> Limit | None:
        rejected = self.admission.rejection(domain, descriptor, tenant)
        if rejected is None:
            self.held.append(self._stack.enter_context(self.admission.holding(domain, tenant)))
        return rejected

    def left(self) -> dict[str, int]:
        """How many are still held for each domain."""
        return dict(Counter(held.domain for held in self.held if held.turned_away_for is None))

    def close(self) -> None:
        self._stack.close()


def test_a_tenant_with_most_of_the_places_gives_way() -> None:
    visitors = Visitors(max_held="6")
    for domain in ("m1", "m2", "m2", "m1", "m2", "m2"):
        assert visitors.ask(MALLORY, domain) is None
    assert visitors.ask(ALICE, "a1") is None
    assert visitors.held[5].turned_away_for is Limit.OVERALL, "the newest of its largest domain"
    assert visitors.ask(ALICE, "a1") is None
    assert visitors.ask(ALICE, "a1") is None
    assert visitors.left() == {"m1": 1, "m2": 2, "a1": 3}
    assert visitors.ask(ALICE, "a1") is Limit.OVERALL, "it has its half"
    assert visitors.ask(MALLORY, "m1") is Limit.OVERALL
    assert visitors.admission.hits == {(MALLORY, Limit.OVERALL): 4, (ALICE, Limit.OVERALL): 1}
    assert (visitors.admission.total, visitors.admission.turned_away) == (6, 5)
    assert visitors.admission.held_of(MALLORY) == 3
    visitors.close()
    assert (visitors.admission.total, visitors.admission.held_of(MALLORY)) == (0, 0)


def test_a_domain_with_most_of_the_places_gives_way() -> None:
    visitors = Visitors(max_held="4", max_held_per_domain="0")
    for domain in ("big", "big", "big", "big", "small", "small", "new"):
        assert visitors.ask(None, domain) is None
    assert visitors.left() == {"big": 1, "small": 2, "new": 1}
    assert visitors.ask(None, "big") is Limit.OVERALL


def test_the_last_descriptors_are_shared_too() -> None:
    visitors = Visitors(max_held="0")
    assert [visitors.ask(MALLORY, "m") for _ in range(3)] == [None] * 3
    assert visitors.ask(ALICE, "a", descriptor=900) is None
    assert visitors.left() == {"m": 2, "a": 1}
    assert visitors.ask(MALLORY, "m", descriptor=900) is Limit.DESCRIPTORS


@given(st.lists(st.tuples(st.sampled_from([None, ALICE, MALLORY]), st.sampled_from("abc"))))
def test_nobody_gives_way_to_a_tenant_that_has_as_much(
    asked: list[tuple[int | None, str]],
) -> None:
    visitors = Visitors(max_held="7")
    wanted: Counter[int | None] = Counter()
    for tenant, domain in asked:
        wanted[tenant] += 1
        visitors.ask(tenant, f"{domain} of {tenant}")
        admission = visitors.admission
        assert admission.total == sum(visitors.left().values()) <= 7
        shares = {tenant: admission.held_of(tenant) for tenant in wanted}
        least = min(7 // len(wanted), *wanted.values()) if wanted else 0
        assert min(shares.values()) >= least
        assert admission.total == min(7, sum(wanted.values()))
    visitors.close()
    assert visitors.admission.total == 0


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
