"""How often the daemon looks at what may come without end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.allowance import Allowance


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
