"""Which backends serve a dead backend's domains, and what another placement moves."""

from collections import Counter

import pytest

from tests.balancer.lua import Lua
from tests.balancer.vectors import stock_index

DOMAINS = {
    "customers": [f"customer-{number:05}.apps.example.net" for number in range(12_000)],
    "short ones": [f"s{number}.com" for number in range(12_000)],
}
domains = pytest.mark.parametrize("domains", DOMAINS.values(), ids=DOMAINS)


def entries(count: int) -> list[str]:
    return [f"192.0.2.{number}" for number in range(11, 11 + count)]


def orders(lua: Lua, hosts: list[str], backends: list[str]) -> list[list[int]]:
    """The numbers of each host's substitutes, if its own is the first backend."""
    return [
        [int(number) for number in answer.split()] for answer in lua("substitutes", hosts, backends)
    ]


def share(counts: Counter[int]) -> tuple[float, float]:
    """The least and the greatest share of the total."""
    return min(counts.values()) / counts.total(), max(counts.values()) / counts.total()


@domains
def test_a_dead_backends_domains_spread_evenly(luajit: Lua, domains: list[str]) -> None:
    own = [host for host in domains if stock_index(host, 3) == 0]
    counts = Counter(order[0] for order in orders(luajit, own, entries(3)))
    least, most = share(counts)
    assert counts.keys() == {2, 3}
    assert 0.45 <= least <= most <= 0.55


@domains
def test_a_second_dead_backends_domains_spread_evenly_too(luajit: Lua, domains: list[str]) -> None:
    found = orders(luajit, domains, entries(5))
    counts = Counter(order[1] for order in found if order[0] == 2)
    least, most = share(counts)
    assert counts.keys() == {3, 4, 5}
    assert 0.28 <= least <= most <= 0.39


def test_every_other_backend_is_a_substitute_once(luajit: Lua) -> None:
    hosts = DOMAINS["customers"][:100]
    for count in range(1, 17):
        for order in orders(luajit, hosts, entries(count)):
            assert sorted(order) == list(range(2, count + 1))


def test_a_substitute_does_not_depend_on_the_case_of_the_name(luajit: Lua) -> None:
    hosts = DOMAINS["customers"][:100]
    louder = [host.upper() for host in hosts]
    assert orders(luajit, louder, entries(7)) == orders(luajit, hosts, entries(7))


def test_a_substitute_stays_when_a_backend_is_added(luajit: Lua) -> None:
    hosts = DOMAINS["customers"][:1000]
    before, after = (orders(luajit, hosts, entries(count)) for count in (4, 5))
    assert [[number for number in order if number != 5] for order in after] == before


@domains
@pytest.mark.parametrize("count", [2, 3, 5, 16])
def test_the_rendezvous_placement_is_even(luajit: Lua, domains: list[str], count: int) -> None:
    counts = Counter(luajit("rendezvous", domains, entries(count)))
    assert set(counts) == set(entries(count))
    assert max(counts.values()) < 1.12 * len(domains) / count


@domains
@pytest.mark.parametrize("count", [2, 3, 8])
def test_rendezvous_moves_only_a_new_backends_share(
    luajit: Lua, domains: list[str], count: int
) -> None:
    before, after = (luajit("rendezvous", domains, entries(many)) for many in (count, count + 1))
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {entries(count + 1)[-1]}
    assert 0.9 < len(moved) / (len(domains) / (count + 1)) < 1.1


def test_rendezvous_substitutes_begin_with_the_second_choice(
    luajit: Lua,
) -> None:
    """A dead backend's domains go where they would belong if it were not in the list."""
    first, *others = entries(4)
    own = [
        host
        for host, entry in zip(
            DOMAINS["customers"],
            luajit("rendezvous", DOMAINS["customers"], [first, *others]),
            strict=True,
        )
        if entry == first
    ]
    substitutes = [entries(4)[order[0] - 1] for order in orders(luajit, own, [first, *others])]
    assert substitutes == luajit("rendezvous", own, others)
