"""A newer version of an ini that does not start gives way to the last good one, once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.fallback import Turn, Versions, boots_good_version, tries_newest, turn
from emperor.model.lifecycle import TABLE, Event, NoTransition, Room, State, decide

CELLS = [(state, event) for state in State for event in Event]
EXPECTED = {
    (State.STARTING, Event.FAILED, Versions.MAY_FALL_BACK): Turn.FALL_BACK,
    (State.RELOADING, Event.SECOND_EXITED, Versions.MAY_FALL_BACK): Turn.FALL_BACK,
    (State.STARTING, Event.FAILED, Versions.FELL_BACK): Turn.GIVE_UP,
}


@pytest.mark.parametrize("versions", Versions)
@pytest.mark.parametrize(("state", "event"), CELLS)
def test_only_a_failed_boot_changes_the_version(
    state: State, event: Event, versions: Versions
) -> None:
    otherwise = Turn.PROVEN if event is Event.ACCEPTING else Turn.NONE
    assert turn(state, event, versions) is EXPECTED.get((state, event, versions), otherwise)


@pytest.mark.parametrize(
    ("state", "event", "to"),
    [
        (State.STARTING, Event.FAILED, State.STARTING),
        (State.RELOADING, Event.SECOND_EXITED, State.RUNNING),
    ],
)
def test_a_fallback_is_no_throttle(state: State, event: Event, to: State) -> None:
    decision = decide(state, event, Room.FREE)
    assert decision
    assert boots_good_version(decision).to is to


@given(st.lists(st.sampled_from([Event.FAILED, Event.DEMAND, Event.PARDON]), max_size=30))
def test_two_broken_versions_do_not_boot_by_turns(events: list[Event]) -> None:
    state, versions, fallbacks = State.STARTING, Versions.MAY_FALL_BACK, 0
    for event in events:
        if isinstance(TABLE[state][event], NoTransition):
            continue
        decision, changed = decide(state, event, Room.FREE), turn(state, event, versions)
        assert decision
        if changed is Turn.FALL_BACK:
            decision, versions = boots_good_version(decision), Versions.FELL_BACK
            fallbacks += 1
        elif changed is Turn.GIVE_UP:
            versions = Versions.ONE
        assert (decision.to is State.THROTTLED) == (
            event is Event.FAILED and changed is not Turn.FALL_BACK
        )
        state = decision.to
    assert fallbacks <= 1


@pytest.mark.parametrize("state", State)
def test_an_order_tries_the_newest_version(state: State) -> None:
    assert tries_newest(state, Event.RESTART) and tries_newest(state, Event.REVISED)
    is_up = state in (State.STARTING, State.RUNNING, State.RELOADING)
    assert tries_newest(state, Event.START) is not is_up
    assert not tries_newest(state, Event.DEMAND)
