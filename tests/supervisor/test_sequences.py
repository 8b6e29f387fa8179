"""Invariants of a vassal under any sequence of events. The daemon may be killed at any point."""

import logging
from collections.abc import Callable
from dataclasses import replace

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emperor.model.lifecycle import Event, State
from emperor.model.policy import LONGEST_PLACE_SECONDS
from emperor.model.ports import Message
from emperor.model.posture import POSTURE, Connections, Door, Role
from emperor.model.spec import OnChange, Stamp
from emperor.supervisor.records import Vassal
from tests.supervisor.action_log import Crash
from tests.supervisor.fake_launcher import FakeProcess
from tests.supervisor.world import World

ORDERS = (
    Event.START, Event.RESTART, Event.REVISED, Event.IDLE, Event.MAINTENANCE_ON,
    Event.MAINTENANCE_OFF,
)  # fmt: skip


CLOSED = (State.PARKED, State.STOPPING, State.REMOVED)


class ErrorsOnly(logging.Handler):
    """Keeps what the daemon logs as an error. An illegal event is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class LifeOfAVassal(RuleBasedStateMachine):
    """Events from visitors, the operator, the ini, uWSGI and the clock, in any order. A second
    vassal, the neighbour, competes for the only place to boot. The daemon may be killed."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = ErrorsOnly()
        logging.getLogger("emperord").addHandler(self.errors)
        self.world = World(None, max_starting="1", max_running="2")
        self.world.add("b.example")
        self.alive: list[FakeProcess] = []
        self.neighbours: list[FakeProcess] = []
        self.seen = 0
        self.version = 0

    def let(self, act: Callable[[], object]) -> None:
        """Let something happen. The daemon may be killed half-way."""
        try:
            act()
        except Crash:
            self.world.crash()
        for process in self.world.launcher.started[self.seen :]:
            own = process.spec.domain == "a.example"
            (self.alive if own else self.neighbours).append(process)
        self.seen = len(self.world.launcher.started)

    @property
    def neighbour(self) -> Vassal:
        found = self.world.governor.vassals.get("b.example")
        assert found
        return found

    @property
    def there(self) -> bool:
        return self.world.governor.vassals.get("a.example") is not None

    @property
    def anybody_alive(self) -> bool:
        return bool(self.alive)

    @precondition(lambda self: self.there)
    @rule()
    def a_visitor_comes(self) -> None:
        self.let(self.world.hit)

    @precondition(lambda self: self.there)
    @rule(event=st.sampled_from(ORDERS))
    def the_operator_orders(self, event: Event) -> None:
        self.let(lambda: self.world.governor.order(self.world.vassal, event, "emperorctl"))

    @precondition(lambda self: self.there)
    @rule(on_change=st.sampled_from(OnChange))
    def the_ini_changes(self, on_change: OnChange) -> None:
        self.version += 1
        spec = replace(self.world.spec, on_change=on_change)
        stamp = Stamp(self.version, self.version, 1, 0, 0)
        text = b"version %d" % self.version
        self.let(lambda: self.world.governor.revise(spec, stamp, text))

    @precondition(lambda self: self.there)
    @rule()
    def the_ini_goes(self) -> None:
        self.let(lambda: self.world.governor.dismiss("a.example"))

    @precondition(lambda self: self.anybody_alive)
    @rule(data=st.data(), message=st.sampled_from(Message))
    def a_process_speaks(self, data: st.DataObject, message: Message) -> None:
        process = data.draw(st.sampled_from(self.alive))
        self.let(lambda: process.says(message))

    @precondition(lambda self: self.anybody_alive)
    @rule(data=st.data())
    def a_process_dies(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from(self.alive))
        self.alive.remove(process)
        self.let(lambda: process.exits("exit status 1"))

    @rule(person=st.booleans())
    def a_visitor_comes_to_the_neighbour(self, person: bool) -> None:
        self.let(lambda: self.world.hit(self.neighbour, person))

    @precondition(lambda self: bool(self.neighbours))
    @rule(end=st.sampled_from(["accepts", "dies"]))
    def the_neighbour_accepts_or_dies(self, end: str) -> None:
        process = self.neighbours[0]
        if end == "accepts":
            self.let(process.accepts)
        else:
            self.neighbours.remove(process)
            self.let(lambda: process.exits("exit status 1"))

    @rule(seconds=st.sampled_from([0.1, 2.0, 15.0, 61.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.let(lambda: self.world.clock.advance(seconds))

    @rule()
    def the_program_is_gone_for_a_while(self) -> None:
        launcher = self.world.launcher
        launcher.problem = None if launcher.problem else "cannot spawn"

    @rule()
    def the_daemon_is_killed(self) -> None:
        before = {vassal.spec.domain: vassal.state for vassal in self.world.governor.vassals}
        self.let(self.world.crash)
        assert {
            vassal.spec.domain: vassal.state for vassal in self.world.governor.vassals
        } == before

    @rule(steps=st.integers(0, 12))
    def the_daemon_will_be_killed(self, steps: int) -> None:
        self.world.actions.steps_left = steps

    @invariant()
    def the_slots_hold_exactly_the_living_processes(self) -> None:
        children = self.world.vassal.children if self.there else ()
        assert {child.process.pid for child in children} == {process.pid for process in self.alive}
        assert len(children) <= 2

    @invariant()
    def the_world_agrees_with_the_posture(self) -> None:
        if not self.there:
            assert self.world.listener.closed
            return
        vassal, listener = self.world.vassal, self.world.listener
        posture = vassal.posture
        assert not vassal.in_maintenance or vassal.state in CLOSED
        assert listener.door_open == (posture.door is Door.OPEN)
        queued = vassal in self.world.governor.boot_positions()
        if not queued or posture.second is Role.BOOTING:
            assert (vassal.lead.role if vassal.lead else None) is posture.lead
        assert vassal.second is None or vassal.second.role is posture.second
        wants = posture.connections is not Connections.LEFT_TO_THE_APP and not vassal.pending_event
        assert listener.watched == wants
        assert (vassal.throttle is not None) == (vassal.state is State.THROTTLED)

    @invariant()
    def a_vassal_keeps_one_other_version_at_most(self) -> None:
        vassal = self.world.vassal
        assert vassal.good is None or vassal.failed is None
        assert vassal.failed is None or vassal.has_accepted

    @invariant()
    def every_process_that_should_end_has_a_deadline(self) -> None:
        for child in self.world.vassal.children if self.there else ():
            killed = f"kill {child.process.pid}" in self.world.actions
            bounded = child.timer is not None or killed
            assert bounded == (child.role is not Role.SERVING) or killed

    @invariant()
    def a_vassal_is_queued_exactly_while_its_process_is_missing(self) -> None:
        for vassal in self.world.governor.vassals:
            posture = POSTURE[vassal.state]
            lacks_lead = posture.lead is Role.BOOTING and vassal.lead is None
            lacks_second = posture.second is Role.BOOTING and vassal.second is None
            queued = vassal in self.world.governor.boot_positions()
            assert queued == (vassal.queued_for is not None) == (lacks_lead or lacks_second)

    @invariant()
    def only_one_app_boots_and_no_app_waits_needlessly(self) -> None:
        children = [child for vassal in self.world.governor.vassals for child in vassal.children]
        ago = self.world.clock.now - LONGEST_PLACE_SECONDS
        booting = [c for c in children if c.role is Role.BOOTING and c.boot.spawned > ago]
        assert len(booting) <= 1
        assert booting or not self.world.governor.boot_positions()

    @invariant()
    def nothing_is_illegal(self) -> None:
        assert not self.errors.messages

    def teardown(self) -> None:
        logging.getLogger("emperord").removeHandler(self.errors)
        self.world.actions.steps_left = None
        if self.there:
            self.let(lambda: self.world.governor.dismiss("a.example"))
        self.let(lambda: self.world.governor.dismiss("b.example"))
        for process in self.alive + self.neighbours:
            process.exits()
        assert not self.there
        assert not self.world.governor.boot_positions()
        assert not self.world.clock.pending, "a timer was forgotten"


LifeOfAVassal.TestCase.settings = hypothesis_settings(
    max_examples=200, stateful_step_count=40, deadline=None
)
TestLifeOfAVassal = LifeOfAVassal.TestCase
