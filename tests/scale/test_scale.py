"""The made-up day keeps the laws that hold in any fleet, whatever is lost and comes back."""

import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emperor.model.registration import BUCKETS
from emperor.registry.reads import AT_ONCE
from tests.balancer.vectors import stock_index
from tests.scale.day import Day, Size
from tests.scale.fleet import Fleet
from tests.scale.story import Finding, play
from tests.scale.traffic import DAY_SECONDS, Traffic, load, rates, time_of

SMALL = Size(backends=50, domains=20_000, awake=2_000)
TINY = Size(backends=8, domains=400, awake=100, changes=0.02, seed=7)
_HOUR = 3600.0


def assert_sound(day: Day) -> None:
    """What holds at each moment of a day."""
    registry, lost = day.registry, day.fleet.lost
    for address, backend in day.backends.items():
        watched = {bucket for bucket, owners in enumerate(day.watchers) if address in owners}
        assert watched == set(backend.buckets), "what a backend watches is what it is told of"
        held = Counter(registry.buckets[domain] for domain in backend.held)
        assert held == +backend.buckets, "each domain that a backend holds is watched"
        if address in lost:
            continue
        for domain in backend.held:
            kept = backend.kept[domain]
            assert kept.serial == registry.serials[domain], "no change is missed"
            assert kept.domain == registry.names[domain]
    assert sum(registry.reads.values()) == sum(day.account.pulls.values())


def assert_placed(day: Day) -> None:
    """Each domain is served by one backend that is up, its own one if that is up."""
    other = Fleet(day.folder, list(day.backends), day.size.slots)
    other.use(day.fleet.slots)
    other.lost = set(day.fleet.lost)
    for domain, name in enumerate(day.names):
        address = day.place(domain).address
        own = day.fleet.placement.backend(name)
        assert own == day.fleet.slots[stock_index(name, day.size.slots)]
        assert address == own or own in day.fleet.lost
        assert address not in day.fleet.lost
        assert address == other.backend(name, day.slots[domain]), "balancers agree"


class Days(RuleBasedStateMachine):
    """Anything may happen, in any order."""

    @initialize(seed=st.integers(0, 5), slots=st.sampled_from([BUCKETS, 16 * BUCKETS, 40]))
    def begin(self, seed: int, slots: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        size = Size(8, 400, 100, 0.02, slots, seed=seed)
        self.day = Day(size, Path(self._folder.name))
        self._added = 0

    def teardown(self) -> None:
        self._folder.cleanup()

    @rule(hours=st.floats(0.1, 30.0))
    def time_passes(self, hours: float) -> None:
        self.day.until(self.day.now + hours * _HOUR)

    @precondition(lambda self: len(self.day.backends) - len(self.day.fleet.lost) > 3)
    @rule(count=st.integers(1, 3))
    def backends_vanish(self, count: int) -> None:
        self.day.lose(count)

    @precondition(lambda self: self.day.fleet.lost)
    @rule(data=st.data(), empty=st.booleans())
    def a_backend_comes_back(self, data: st.DataObject, empty: bool) -> None:
        one = data.draw(st.sampled_from(sorted(self.day.fleet.lost)))
        held = set(self.day.backends[one].held)
        self.day.bring_back([one], empty)
        assert set(self.day.backends[one].held) == (set() if empty else held)

    @precondition(lambda self: self._added < 3)
    @rule()
    def a_backend_is_added(self) -> None:
        self._added += 1
        before = self.day.fleet.slots
        moved = self.day.add(f"10.255.0.{self._added}")
        changed = {at for at, own in enumerate(self.day.fleet.slots) if own != before[at]}
        assert moved == sum(slot in changed for slot in self.day.slots)

    @rule(is_away=st.booleans())
    def the_registry_goes_or_comes(self, is_away: bool) -> None:
        self.day.registry.is_away = is_away

    @rule()
    def all_daemons_restart(self) -> None:
        self.day.restart_all()

    @rule()
    def what_has_slept_is_forgotten(self) -> None:
        self.day.forget()

    @invariant()
    def all_is_sound(self) -> None:
        assert_sound(self.day)

    @invariant()
    def all_is_placed(self) -> None:
        assert_placed(self.day)


Days.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
TestDays = Days.TestCase


def findings(size: Size, folder: Path) -> dict[str, float]:
    return {finding.what: finding.value for finding in play(size, folder)}


def test_a_day_is_the_same_each_time(tmp_path: Path) -> None:
    assert list(play(SMALL, tmp_path)) == list(play(SMALL, tmp_path))


def test_a_day_of_a_small_fleet(tmp_path: Path) -> None:
    seen = findings(SMALL, tmp_path)
    assert seen["apps awake at midnight"] == pytest.approx(SMALL.awake, rel=0.1)
    assert seen["slots of a backend, at least"] == BUCKETS // SMALL.backends
    assert seen["a backend added: domains moved"] == pytest.approx(100 / 51, rel=0.2)
    assert (
        seen["a rack lost: reads in half an hour"] < seen["a quarter lost: reads in half an hour"]
    )
    assert (
        0
        < seen["5 min without registry: hits failed"]
        < 0.01 * seen["5 min without registry: hits"]
    )
    assert seen["all disks empty: reads in the first hour"] <= SMALL.domains
    # So no read of the day has to wait for another one.
    assert seen["reads of one backend in a second, at most"] <= AT_ONCE


def test_what_is_held_is_served_without_the_registry(tmp_path: Path) -> None:
    day = Day(SMALL, tmp_path)
    for domain in range(SMALL.domains):
        day.place(domain).asked(domain, day.now)
    day.registry.is_away = True
    day.until(DAY_SECONDS)
    assert not day.account.failed
    assert day.account.wakes


def test_a_domain_is_read_once_by_each_backend(tmp_path: Path) -> None:
    day = Day(SMALL, tmp_path)
    held = sum(len(backend.held) for backend in day.backends.values())
    day.until(6 * _HOUR)
    day.bring_back(day.lose(5))
    day.until(DAY_SECONDS)
    more = sum(len(backend.held) for backend in day.backends.values()) - held
    assert more == sum(day.registry.reads.values())


def test_after_a_loss_only_its_domains_are_read(tmp_path: Path) -> None:
    day = Day(SMALL, tmp_path)
    day.until(12 * _HOUR)
    before = {address: set(backend.held) for address, backend in day.backends.items()}
    [gone] = day.lose(1)
    day.until(13 * _HOUR)
    for address, backend in day.backends.items():
        for domain in set(backend.held) - before[address]:
            own = day.fleet.slots[day.registry.buckets[domain]]
            assert own in (address, gone)


def test_who_missed_more_than_is_retained_reads_all(tmp_path: Path) -> None:
    day = Day(SMALL, tmp_path)
    gone = day.lose(2)
    day.until(DAY_SECONDS)
    held = sum(len(day.backends[each].held) for each in gone)
    day.bring_back(gone)
    assert sum(day.account.read_again.values()) == held
    assert_sound(day)


def test_what_was_missed_in_a_short_loss_is_told(tmp_path: Path) -> None:
    day = Day(SMALL, tmp_path)
    day.until(_HOUR)
    gone = day.lose(5)
    day.until(1.5 * _HOUR)
    serials = [sum(kept.serial for kept in day.backends[each].kept.values()) for each in gone]
    day.bring_back(gone)
    assert not day.account.read_again
    for address, before in zip(gone, serials, strict=True):
        assert sum(kept.serial for kept in day.backends[address].kept.values()) > before
    assert_sound(day)


def test_the_curve_and_its_inverse_agree() -> None:
    for hour in range(-30, 60):
        assert time_of(load(hour * _HOUR)) == pytest.approx(hour * _HOUR, abs=1.0)
    assert load(DAY_SECONDS) == pytest.approx(DAY_SECONDS)


def test_as_many_are_awake_as_wanted() -> None:
    traffic = Traffic(rates(50_000, 5_000, 26 * _HOUR, 1.6), Random(3))
    awake = sum(traffic.before(each, 0.0) > -26 * _HOUR for each in range(50_000))
    assert awake == pytest.approx(5_000, rel=0.05)


def test_findings_are_named_once(tmp_path: Path) -> None:
    told: list[Finding] = list(play(TINY, tmp_path))
    assert len({finding.what for finding in told}) == len(told)
