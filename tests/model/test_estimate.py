"""What a waiting page says of the time that a start takes."""

import pytest

from emperor.model.estimate import REMEMBERED_BOOTS, estimate, remembered, usual


@pytest.mark.parametrize(
    ("boots", "elapsed", "said"),
    [
        ((), 1.0, ""),
        ((), None, ""),
        ((4.0,), 0.0, "It will take about 4 seconds more."),
        ((2.0, 4.0, 3.0), 1.5, "It will take about 3 seconds more."),
        ((4.0,), 3.9, "It will take about a second more."),
        ((4.0,), 4.1, "Its last starts took 4 seconds; this one takes longer."),
        ((300.0,), 10.0, "It will take about 5 minutes more."),
        ((4.0,), None, "Other sites start first. The start itself takes about 4 seconds."),
    ],
)
def test_the_slowest_of_the_last_boots_counts(
    boots: tuple[float, ...], elapsed: float | None, said: str
) -> None:
    assert estimate(boots, elapsed) == said


def test_half_of_the_last_boots_took_as_long_as_usual() -> None:
    assert usual(()) == 0
    assert usual((3.0,)) == 3
    assert usual((5.0, 0.1)) == 5
    assert usual((0.1, 9.0, 0.2, 0.3, 8.0)) == 0.3


def test_only_the_last_boots_are_remembered() -> None:
    boots: tuple[float, ...] = ()
    for number in range(REMEMBERED_BOOTS + 2):
        boots = remembered(boots, number + 0.001)
    assert boots == (2.0, 3.0, 4.0, 5.0, 6.0)
