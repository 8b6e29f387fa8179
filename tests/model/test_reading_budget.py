"""An ini that changes all the time is read now and then."""

import pytest

from emperor.model.reading_budget import ReadingBudget


def readings(cost: float, seconds: int) -> list[float]:
    """When a file is read that changes a hundred times a second, and takes `cost` to read."""
    budget, read = ReadingBudget(), []
    for tick in range(100 * seconds):
        now = 1000 + tick / 100
        if not budget.wait("a.ini", now):
            budget.spend("a.ini", cost, now)
            read.append(now - 1000)
    return read


@pytest.mark.parametrize(("cost", "at_once", "in_a_minute"), [(0.001, 20, 82), (0.3, 3, 15)])
def test_a_storm_of_changes_is_read_now_and_then(
    cost: float, at_once: int, in_a_minute: int
) -> None:
    read = readings(cost, 60)
    assert len([moment for moment in read if moment < 0.5]) == pytest.approx(at_once, abs=2)
    assert len(read) == pytest.approx(in_a_minute, abs=4)
    assert len(read) * cost < 60 * 0.1, "a small part of a core"


def test_one_file_costs_no_other_and_waits_ten_seconds_at_most() -> None:
    budget = ReadingBudget()
    for _ in range(3):
        budget.spend("a.ini", 60.0, 0.0)
    assert 0 < budget.wait("a.ini", 0.0) <= 10
    assert budget.wait("b.ini", 0.0) == 0
    budget.forget_full(5.0)
    assert budget.wait("a.ini", 5.0) > 0
    budget.forget_full(100.0)
    assert budget.wait("a.ini", 0.0) == 0, "nothing of it is kept"
