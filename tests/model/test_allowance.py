"""When the daemon looks again at what may come without end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.allowance import Allowance, Pace


def test_a_burst_costs_no_wait_and_a_storm_does() -> None:
    allowance = Allowance(burst=3, per_second=10)
    assert [allowance.take(50.0) for _ in range(3)] == pytest.approx([0, 0, 0.1])
    assert allowance.take(50.1) == pytest.approx(0.1)


def test_after_a_rest_all_is_as_it_was() -> None:
    allowance = Allowance(burst=3, per_second=10)
    for _ in range(9):
        allowance.take(50.0)
    assert [allowance.take(60.0) for _ in range(3)] == pytest.approx([0, 0, 0.1])


@given(st.lists(st.floats(0, 0.2)), st.integers(1, 20), st.integers(1, 20))
def test_no_more_looks_than_are_allowed(pauses: list[float], burst: int, per_second: int) -> None:
    allowance = Allowance(burst, per_second)
    begun = now = 1000.0
    for number, pause in enumerate(pauses, 1):
        wait = allowance.take(now)
        assert number <= burst + (now - begun) * per_second + 1e-6
        assert wait <= 1 / per_second + 1e-6, "nobody waits for longer than its turn"
        now += max(wait, pause)


@given(st.lists(st.floats(1e-6, 10.0), min_size=1), st.floats(0.01, 0.5))
def test_looks_take_their_share_of_a_core_and_no_more(costs: list[float], share: float) -> None:
    pace = Pace(share, most_seconds=float("inf"))
    rests = [pace.rest(cost) for cost in costs]
    assert sum(costs) == pytest.approx(share * (sum(costs) + sum(rests)))


def test_no_look_waits_longer_than_the_longest_rest() -> None:
    pace = Pace(share=0.1, most_seconds=0.025)
    assert [pace.rest(0.0), pace.rest(0.001), pace.rest(60.0)] == pytest.approx([0, 0.009, 0.025])
