"""The table of the life-cycle is complete, and no sequence of events breaks its rules."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.events import MEANING
from emperor.model.lifecycle import (
    DEPARTURES,
    TABLE,
    ByQueue,
    ByRoom,
    Conditions,
    Decision,
    ErrorChange,
    Event,
    IllegalEvent,
    Move,
    NoTransition,
    PendingChange,
    Room,
    State,
    Transition,
    decide,
    room,
    step,
)
from emperor.model.posture import POSTURE, Connections, Door, Role, posture

CELLS = [(state, event) for state in State for event in Event]

# Every cell, written a second time by hand: "-" is an ignored event, "!" an illegal event.
EXPECTED = """
               parked    starting   running    reloading  stopping  throttled  removed
demand         starting  -          -          -          beside    -          -
start          starting  -          -          -          beside    starting   -
restart        starting  anew       anew       anew       beside    starting   -
revised        parked    anew       succeed    abandon    -         parked     stopping
idle           -         stopping   stopping   stopping   stopping  -          -
removed        removed   removed    removed    removed    removed   removed    -
turn           !         starting   !          reloading  !         !          !
accepting      !         running    !          running    !         !          !
deadline       parked    starting   running    reloading  stopping  throttled  removed
pardon         !         !          !          !          !         parked     !
exited         !         !          parked     starting   parked    !          removed
ended          !         starting   parked     starting   !         !          !
failed         !         throttled  throttled  !          !         !          !
second_exited  parked    starting   running    running    stopping  throttled  removed
maintenance_on parked    stopping   stopping   stopping   stopping  parked     -
maintenance_off parked   -          -          -          stopping  -          -
"""
# The next state by the room: there is room for a second process; a predecessor stops; the app must
# not run twice. The name after the plus is the pending event.
COMPOUND = {
    "beside": ["starting", "stopping+demand", "stopping+demand"],
    "succeed": ["reloading", "running+revised", "stopping+demand"],
    "anew": ["stopping+demand"] * 3,
    "abandon": ["running+revised"] * 3,
}
# The cells that differ while the process that should boot is still in the queue.
QUEUED = {
    (State.STARTING, Event.RESTART): ["starting"] * 3,
    (State.STARTING, Event.REVISED): ["starting"] * 3,
    (State.STARTING, Event.IDLE): ["parked"] * 3,
    (State.STARTING, Event.MAINTENANCE_ON): ["parked"] * 3,
    (State.RELOADING, Event.REVISED): ["reloading", "reloading", "stopping+demand"],
}


def expected() -> dict[tuple[State, Event], list[str]]:
    """EXPECTED with three outcomes for each cell, one for each member of Room."""
    header, *rows = EXPECTED.strip().splitlines()
    states = [State(name) for name in header.split()]
    table = {}
    for row in rows:
        event, *cells = row.split()
        for state, cell in zip(states, cells, strict=True):
            table[state, Event[event.upper()]] = COMPOUND.get(cell, [cell] * 3)
    return table


def outcome(state: State, event: Event, with_room: Room, queued: bool) -> str:
    """What `step` does with one cell, in the notation of EXPECTED."""
    try:
        transition = step(state, event, with_room, queued)
    except IllegalEvent:
        return "!"
    if transition is None:
        return "-"
    return transition.to.value + (f"+{transition.owes.value}" if transition.owes else "")


@pytest.mark.parametrize(("state", "event"), CELLS, ids=lambda value: value.name)
def test_every_cell_leads_where_the_documentation_says(state: State, event: Event) -> None:
    outcomes = [outcome(state, event, with_room, False) for with_room in Room]
    assert outcomes == expected()[state, event]
    outcomes = [outcome(state, event, with_room, True) for with_room in Room]
    assert outcomes == QUEUED.get((state, event), expected()[state, event])


def test_every_state_has_a_posture_and_every_event_a_meaning() -> None:
    assert set(POSTURE) == set(TABLE) == set(State)
    assert set(MEANING) == set(Event)


def test_an_illegal_event_names_state_and_event() -> None:
    with pytest.raises(IllegalEvent, match="cannot take 'pardon' while running"):
        step(State.RUNNING, Event.PARDON, Room.FREE)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_the_door_is_open_exactly_while_an_app_accepts(state: State) -> None:
    posture = POSTURE[state]
    assert (posture.door is Door.OPEN) == (posture.lead is Role.SERVING)
    assert (posture.door is Door.BARRED) == (posture.connections is Connections.REFUSED)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_connections_are_left_to_an_app_that_boots_or_serves(
    state: State,
) -> None:
    posture = POSTURE[state]
    if posture.lead in (Role.BOOTING, Role.SERVING):
        assert posture.connections is Connections.LEFT_TO_THE_APP


def transitions(state: State, event: Event) -> list[Transition]:
    """The transitions of a cell, while the state has the processes that it requires."""
    cell = TABLE[state][event]
    if isinstance(cell, ByQueue):
        return [cell.booting]
    if isinstance(cell, ByRoom):
        return [cell.free, cell.taken, cell.single]
    return [cell] if isinstance(cell, Transition) else []


@pytest.mark.parametrize(("state", "event"), CELLS, ids=lambda value: value.name)
def test_only_an_exit_leads_to_a_state_without_a_process(state: State, event: Event) -> None:
    if POSTURE[state].lead is None:
        return
    for transition in transitions(state, event):
        if POSTURE[transition.to].lead is None:
            assert event in DEPARTURES


@dataclass
class Slots:
    """Which of the two slots hold a process. `places` says for each boot whether it may begin at
    once."""

    places: Iterator[bool]
    lead: bool = False
    second: bool = False
    queued: bool = False

    def can_take(self, event: Event) -> bool:
        """Whether the event can happen to these processes."""
        match event:
            case Event.EXITED | Event.FAILED:
                return self.lead
            case Event.SECOND_EXITED:
                return self.second
            case Event.ACCEPTING:
                return (self.lead or self.second) and not self.queued
            case Event.TURN:
                return self.queued
            case _:
                return True

    def take(self, event: Event, transition: Transition) -> None:
        """Apply the exit, the move, and the spawns that the posture requires."""
        if event in (Event.EXITED, Event.FAILED):
            self.lead = False
        elif event is Event.SECOND_EXITED:
            self.second = False
        match transition.move:
            case Move.ASIDE:
                assert self.lead and not self.second, "a lead steps aside only into a free slot"
                self.lead, self.second = False, True
            case Move.SWAP:
                assert self.lead and self.second, "a swap takes two"
            case Move.PROMOTE if not self.lead:
                self.lead, self.second = self.second, False
        posture = POSTURE[transition.to]
        boots = event is Event.TURN or next(self.places)
        lacks_lead = posture.lead is Role.BOOTING and not self.lead
        lacks_second = posture.second is Role.BOOTING and not self.second
        self.queued = (lacks_lead or lacks_second) and not boots
        self.lead = self.lead or (lacks_lead and boots)
        self.second = self.second or (lacks_second and boots)


@given(st.lists(st.sampled_from(Event), max_size=40), st.booleans(), st.lists(st.booleans()))
def test_no_sequence_loses_a_process_or_needs_a_third_slot(
    events: list[Event], overlaps: bool, places: list[bool]
) -> None:
    state, slots = State.PARKED, Slots(chain(places, repeat(True)))
    for event in filter(slots.can_take, events):
        try:
            transition = step(state, event, room(overlaps, slots.second), slots.queued)
        except IllegalEvent:
            continue
        if transition is None:
            continue
        slots.take(event, transition)
        state = transition.to
        if state is State.REMOVED and not slots.lead:
            assert not slots.second, "a running process must not be forgotten"
            return
        requires = POSTURE[state].lead is not None
        is_queued = slots.queued and state is State.STARTING
        assert slots.lead == (requires and not is_queued), "the awaited exit can happen"


@given(st.lists(st.sampled_from(Event), max_size=40))
def test_an_app_that_cannot_run_twice_never_does(events: list[Event]) -> None:
    state = State.PARKED
    for event in events:
        try:
            transition = step(state, event, Room.SINGLE)
        except IllegalEvent:
            continue
        if transition is not None:
            assert transition.move is not Move.ASIDE
            assert transition.to is not State.RELOADING
            state = transition.to


def test_cells_without_a_transition_are_spelled_out() -> None:
    cells = [cell for row in TABLE.values() for cell in row.values()]
    assert NoTransition.IGNORED in cells
    assert NoTransition.ILLEGAL in cells


def decisions(state: State, event: Event) -> list[Decision]:
    """The decisions on an event, for every kind of room, queued or not."""
    found = []
    for with_room in Room:
        for is_queued in (False, True):
            with suppress(IllegalEvent):
                if decision := decide(state, event, with_room, Conditions(is_queued)):
                    found.append(decision)
    return found


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_the_other_rules_hold_in_every_cell(state: State, event: Event) -> None:
    exits = (Event.EXITED, Event.ENDED, Event.FAILED)
    died = event in exits and state in (State.RUNNING, State.RELOADING)
    orders = (Event.START, Event.RESTART, Event.REVISED, Event.MAINTENANCE_OFF)
    for decision in decisions(state, event):
        enters_stop = decision.to is not state and decision.to in (State.STOPPING, State.REMOVED)
        assert decision.notes_stop == (died or enters_stop)
        assert decision.pardons == (event in orders or (died and event is not Event.FAILED))
        assert (decision.pending is PendingChange.KEPT) == (event is Event.DEADLINE)
        is_departure = event in (*exits, Event.SECOND_EXITED)
        assert (decision.pending is PendingChange.RELEASED) == is_departure
        successor_failed = (state, event) == (State.RELOADING, Event.SECOND_EXITED)
        is_error = (died and event is Event.EXITED) or event is Event.FAILED or successor_failed
        assert (decision.last_error is ErrorChange.SET) == is_error
        assert decision.is_warning == (is_error or event is Event.DEADLINE)
        assert (decision.last_error is ErrorChange.CLEARED) == (event is Event.ACCEPTING)


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_nothing_wakes_a_vassal_in_maintenance(state: State, event: Event) -> None:
    if event in (Event.TURN, Event.ACCEPTING, Event.FAILED, Event.ENDED, Event.PARDON):
        return
    closed = (State.PARKED, State.STOPPING, State.REMOVED)
    conditions = Conditions(stays_up=True, in_maintenance=True)
    with suppress(IllegalEvent):
        decision = decide(state, event, Room.FREE, conditions)
        if state in closed and decision and event is not Event.MAINTENANCE_OFF:
            assert decision.to in closed
            assert not decision.wakes_again
            assert decision.owes is None
            assert decision.answers_queue == ((state, event) == (State.STOPPING, Event.EXITED))


@pytest.mark.parametrize("state", State)
def test_maintenance_begins_in_every_state_and_ends(state: State) -> None:
    decision = decide(state, Event.MAINTENANCE_ON, Room.FREE)
    assert decision is None or decision.to in (State.PARKED, State.STOPPING)
    assert decide(state, Event.MAINTENANCE_OFF, Room.FREE) is None
    ends = decide(state, Event.MAINTENANCE_OFF, Room.FREE, Conditions(False, True, True))
    if state is State.PARKED:
        assert ends and ends.wakes_again and ends.pardons, "it never sleeps, so it starts again"


@pytest.mark.parametrize("state", State)
def test_the_door_is_barred_in_maintenance(state: State) -> None:
    required = posture(state, has_pending=False, in_maintenance=True)
    if POSTURE[state].lead in (None, Role.STOPPING):
        assert required.door is Door.BARRED
        # A process that stops may hold the listener, so the daemon must not accept from it.
        is_refused = required.connections is Connections.REFUSED
        assert is_refused == (required.lead is None)


@pytest.mark.parametrize("state", State)
def test_no_listener_is_watched_while_an_event_is_pending(state: State) -> None:
    assert posture(state, has_pending=True).connections is Connections.LEFT_TO_THE_APP
    assert posture(state, has_pending=False) is POSTURE[state]
