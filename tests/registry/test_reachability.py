"""Whether the registry answers, with a clock that the test moves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from emperor.registry.port import CannotReach
from emperor.registry.reachability import Asker, Reachability

START = datetime(2026, 1, 1, tzinfo=UTC)
AWAY = CannotReach("no member answers")


class World:
    """A clock, and what is called later."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._later: list[tuple[float, Callable[[], None]]] = []
        self.reachability = Reachability(
            lambda: self.seconds, lambda: START + timedelta(seconds=self.seconds), self._call_later
        )

    def _call_later(self, delay: float, act: Callable[[], None]) -> None:
        self._later.append((self.seconds + delay, act))

    def pass_on(self, seconds: float) -> None:
        """Time passes."""
        self.seconds += seconds
        due = [act for at, act in self._later if at <= self.seconds]
        self._later = [(at, act) for at, act in self._later if at > self.seconds]
        for act in due:
            act()


@pytest.fixture
def world() -> World:
    """The registry was reached some time ago."""
    made = World()
    assert made.reachability.unreached_since == START
    made.reachability.tell(Asker.MEMBERSHIP, None)
    made.pass_on(60.0)
    assert made.reachability.is_reached
    return made


def test_an_outage_is_told_once_whoever_notices_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for asker in Asker:
        world.reachability.tell(asker, AWAY)
    assert caplog.text.count("cannot use the registry: no member answers") == 1
    assert world.reachability.unreached_since == START + timedelta(seconds=60)
    world.pass_on(60.0)
    for asker in Asker:
        world.reachability.tell(asker, None)
    assert caplog.text.count("reached again") == 1
    assert world.reachability.is_reached


def test_reads_that_are_answered_do_not_hide_what_fails(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world.reachability.tell(Asker.WATCH, AWAY)
    for _ in range(3):
        world.pass_on(60.0)
        world.reachability.tell(Asker.READS, None)
        world.reachability.tell(Asker.WATCH, AWAY)
    assert not world.reachability.is_reached
    assert "again" not in caplog.text


def test_a_watch_that_goes_on_tells_for_those_who_ask_seldom(world: World) -> None:
    for asker in (Asker.READS, Asker.ONCE):
        world.reachability.tell(asker, AWAY)
    world.pass_on(60.0)
    world.reachability.tell(Asker.WATCH, None)
    assert world.reachability.is_reached


def test_an_answer_right_after_a_failure_counts_after_a_moment(world: World) -> None:
    """Nothing may ask again for hours."""
    world.reachability.tell(Asker.WATCH, AWAY)
    world.reachability.tell(Asker.WATCH, None)
    assert not world.reachability.is_reached
    world.pass_on(60.0)
    assert world.reachability.is_reached


def test_a_failure_meanwhile_counts(world: World) -> None:
    world.reachability.tell(Asker.READS, AWAY)
    world.reachability.tell(Asker.READS, None)
    world.pass_on(1.0)
    world.reachability.tell(Asker.READS, AWAY)
    world.pass_on(60.0)
    assert not world.reachability.is_reached
