"""Who yields the CPU: decided on a model of a kernel with two cores."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.cpu_shares import Patience, Used, Yielding, fair_share

CORES, SECONDS = 2.0, 0.5
CAPACITY = CORES * SECONDS
EVERYTHING = 9.0
# Beside a hog nginx answers its clients, and a neighbour some requests.
REST, LIGHT = 0.1, 0.02


@pytest.mark.parametrize(
    ("others", "share"),
    [
        ((), 1.0),
        ((0.2,), 0.8),
        ((0.2, EVERYTHING), 0.4),
        ((0.2, 0.3, EVERYTHING), 0.8 / 3),
        ((EVERYTHING, EVERYTHING), 1 / 3),
        ((0.1, 0.1, 0.1), 0.7),
    ],
)
def test_a_fair_share_is_what_the_others_leave(others: Sequence[float], share: float) -> None:
    assert fair_share(1.0, others) == pytest.approx(share)


def shared(capacity: float, wanted: Mapping[str, float]) -> dict[str, float]:
    """What each gets of what all want, by max-min fairness."""
    got: dict[str, float] = {}
    left = capacity
    for number, (name, amount) in enumerate(sorted(wanted.items(), key=lambda item: item[1])):
        got[name] = min(amount, left / (len(wanted) - number))
        left -= got[name]
    return got


def used(yielding: Yielding, wanted: Mapping[str, float], rest: float) -> Used:
    """What the kernel gives to tenants and to the rest of the machine that want so much."""
    of_all = min(CAPACITY, sum(wanted.values()))
    apps = shared(CAPACITY, {"apps": of_all, "rest": rest})["apps"]
    if yielding.all_apps:
        apps = min(of_all, max(0.0, CAPACITY - rest))
    got: dict[str, float] = {}
    for yields in (False, True):
        parties = {name: wanted[name] for name in wanted if (name in yielding.tenants) == yields}
        got |= shared(apps - sum(got.values()), parties)
    return Used(SECONDS, CAPACITY, got, apps, min(rest, CAPACITY - apps))


def after(
    looks: int, wanted: Mapping[str, float], rest: float = REST, begun: Yielding | None = None
) -> Yielding:
    yielding = begun or Yielding()
    for _ in range(looks):
        yielding = yielding.after(used(yielding, wanted, rest))
    return yielding


HOG = {"hog": EVERYTHING, "light": LIGHT}
TWO_HOGS = {**HOG, "other": EVERYTHING}


def test_a_hog_yields_and_with_it_all_apps_to_the_rest() -> None:
    assert not after(1, HOG).tenants
    for looks, all_apps in ((2, False), (4, True), (40, True)):
        yielding = after(looks, HOG)
        assert (set(yielding.tenants), yielding.all_apps) == ({"hog"}, all_apps)


def test_a_start_that_takes_all_for_a_moment_does_not_yield() -> None:
    yielding = Yielding()
    for wanted in (HOG, {"light": LIGHT}, HOG):
        yielding = after(1, wanted, begun=yielding)
        assert not yielding.tenants


def test_two_hogs_both_yield_and_go_on_to_do_so() -> None:
    assert after(2, TWO_HOGS).tenants == after(20, TWO_HOGS).tenants == {"hog", "other"}


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"light": LIGHT, "other": 0.1}, id="little"),
        pytest.param({"steady": 0.5, "other": 0.1}, id="one-of-two-cores"),
        pytest.param({str(number): EVERYTHING for number in range(30)}, id="less-than-a-tenth"),
    ],
)
def test_who_takes_little_does_not_yield(wanted: Mapping[str, float]) -> None:
    assert (after(9, wanted).tenants, after(9, wanted).all_apps) == (frozenset(), False)


def test_a_hog_that_ends_yields_no_more() -> None:
    assert not after(1, {"hog": LIGHT, "light": LIGHT}, begun=after(9, HOG)).tenants


def test_apps_do_not_yield_to_a_machine_that_computes() -> None:
    yielding = after(9, HOG)
    assert used(yielding, HOG, EVERYTHING).apps == 0
    assert not after(1, HOG, rest=EVERYTHING, begun=yielding).all_apps
    yielding = after(9, HOG, rest=EVERYTHING, begun=yielding)
    assert (set(yielding.tenants), yielding.all_apps) == ({"hog"}, False)


def test_a_program_that_starts_beside_a_hog_ends_nothing() -> None:
    begun = after(9, HOG)
    yielding = after(1, HOG, rest=0.4, begun=begun)
    assert (set(yielding.tenants), yielding.all_apps) == ({"hog"}, True)
    assert not after(1, HOG, rest=0.5, begun=begun).all_apps, "it has as much as all apps"


def test_who_yields_gets_its_share_back_from_a_second_hog() -> None:
    yielding = after(9, HOG)
    assert used(yielding, TWO_HOGS, REST).tenants["hog"] == 0
    yielding = after(1, TWO_HOGS, begun=yielding)
    assert not yielding.tenants
    assert after(3, TWO_HOGS, begun=yielding).tenants == frozenset()
    assert after(4, TWO_HOGS, begun=yielding).tenants == {"hog", "other"}


def test_a_hog_that_ends_while_others_work_has_harmed_nobody() -> None:
    begun = after(9, HOG)
    ended = after(1, {"hog": LIGHT, "light": LIGHT}, rest=0.5, begun=begun)
    assert (ended.tenants, ended.all_apps) == (frozenset(), False)
    assert after(4, HOG, begun=ended).all_apps


def test_it_takes_longer_each_time_that_somebody_was_harmed() -> None:
    patience = Patience()
    for needed in (4, 8, 16, 32, 64, 64):
        patience = patience.after(was_marked=True, is_harmful=True)
        assert patience.needed == needed
    for _ in range(65):
        patience = patience.after(was_marked=True, is_harmful=False)
    assert patience.needed == 32


AMOUNTS = st.sampled_from([0.0, LIGHT, 0.2, 0.4, 0.7, EVERYTHING])
# What three tenants and the rest of the machine want, and for how many looks.
SPELLS = st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.integers(1, 5)), max_size=16)


@given(SPELLS)
def test_nobody_is_kept_from_its_share(
    spells: list[tuple[float, float, float, float, int]],
) -> None:
    """Whatever tenants and the rest of the machine do: who yields has too little at a few looks,
    and at no more than two in a row. Nobody else loses anything."""
    yielding, harmed = Yielding(), [False, False]
    for a, b, c, rest, looks in spells:
        wanted = {"a": a, "b": b, "c": c}
        share = used(Yielding(), wanted, rest).tenants
        for _ in range(looks):
            got = used(yielding, wanted, rest)
            losers = {each for each in wanted if got.tenants[each] < 0.7 * share[each]}
            assert losers <= yielding.tenants or yielding.all_apps
            harmed.append(bool(losers))
            assert not all(harmed[-3:])
            yielding = yielding.after(got)
    assert sum(harmed) <= 10
