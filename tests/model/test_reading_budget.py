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


def test_many_files_of_a_tenant_have_one_credit() -> None:
    files = [f"{number}.ini" for number in range(200)]
    read, waits = dict.fromkeys((*files, "other.ini", "roots.ini"), 0), dict[str, float]()
    budget = ReadingBudget()
    for tick in range(600):
        now = 1000 + tick / 10
        for file in [file for file, until in waits.items() if until <= now]:
            del waits[file]
            budget.end(file)
        tenants = {"other.ini": 7, "roots.ini": 0}
        if tick % 50 == 0:
            budget.forget_full(now)
        for file in read:
            wait = budget.turn(file, tenants.get(file, 5), now) if file in budget else 0.0
            if wait:
                waits[file] = now + wait
            elif wait == 0.0:
                budget.spend(file, 0.001, now)
                read[file] += 1
    of_tenant = sum(read[file] for file in files)
    assert of_tenant == pytest.approx(200 + 100 + 60 * 5, abs=30), "the first of each is free"
    assert min(read[file] for file in files) >= 2, "each one has its turn"
    alone = len(readings(0.001, 60))
    assert read["other.ini"] == pytest.approx(alone, abs=6), "another tenant waits for none of them"
    assert read["roots.ini"] == pytest.approx(alone, abs=6)


def test_a_file_that_root_replaces_waits_for_no_others() -> None:
    budget = ReadingBudget()
    budget.spend("a.ini", 0.001, 0.0)
    waits = [budget.turn("a.ini", 5, 0.0) for _ in range(101)]
    assert waits[-1] == pytest.approx(0.2)
    assert budget.turn("a.ini", 5, 0.0) is None
    assert budget.turn("a.ini", None, 0.0) == 0
