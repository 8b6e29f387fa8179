"""Faults happen in any order, and the daemon notices some of them late: nothing waits for ever."""

import logging
from collections.abc import Callable
from dataclasses import replace

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emperor.model.lifecycle import Event, State
from emperor.model.policy import LONGEST_PLACE_SECONDS
from emperor.model.ports import CannotListen, Message
from emperor.model.posture import POSTURE, Connections, Door, Role
from emperor.model.spec import OnChange
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Child, Vassal
from tests.supervisor.fake_launcher import FakeProcess
from tests.supervisor.fake_listeners import FakeListener
from tests.supervisor.world import World

DOMAINS = ("a.example", "b.example", "c.example")
_BOOT = (Message.LOADED, Message.ACCEPTING)


class Faults(logging.Handler):
    """Keeps what the daemon logs as a fault of its own, such as an illegal event."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.messages.append(record.getMessage())


class Machine(RuleBasedStateMachine):
    """A few vassals on a machine where one may boot and two may run, and everything goes wrong.

    While the daemon hangs, events wait. When it goes on, it handles the events first and then the
    timers that are due, as an event loop does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        logging.getLogger("emperord").addHandler(self.faults)
        self.world = World(None, max_starting="1", max_running="2")
        for domain in DOMAINS[1:]:
            self.world.add(domain)
        self.dead: set[int] = set()
        self.undelivered: list[Callable[[], object]] = []
        self.hangs = False

    # What there is.

    @property
    def governor(self) -> Governor:
        return self.world.governor

    @property
    def alive(self) -> list[FakeProcess]:
        return [process for process in self.world.launcher.started if process.pid not in self.dead]

    @property
    def known(self) -> list[Vassal]:
        return [vassal for vassal in self.governor.vassals if vassal.state is not State.REMOVED]

    def is_killed(self, process: FakeProcess) -> bool:
        return f"kill {process.pid}" in self.world.actions

    def deliver(self, event: Callable[[], object]) -> None:
        """Call `event` now, or when the daemon no longer hangs."""
        if self.hangs:
            self.undelivered.append(event)
        else:
            event()

    # What happens.

    @precondition(lambda self: self.known and not self.hangs)
    @rule(data=st.data(), person=st.booleans())
    def a_visitor_comes(self, data: st.DataObject, person: bool) -> None:
        self.world.hit(data.draw(st.sampled_from(self.known)), person)

    @precondition(lambda self: self.known and not self.hangs)
    @rule(data=st.data())
    def somebody_connects(self, data: st.DataObject) -> None:
        listener = data.draw(st.sampled_from(self.known)).listener
        assert isinstance(listener, FakeListener)
        if listener.watched and not listener.closed:
            listener.connect()

    @precondition(lambda self: self.known and not self.hangs)
    @rule(
        data=st.data(),
        event=st.sampled_from([Event.START, Event.RESTART, Event.REVISED, Event.IDLE]),
    )
    def the_operator_orders(self, data: st.DataObject, event: Event) -> None:
        self.governor.order(data.draw(st.sampled_from(self.known)), event, "emperorctl")

    @precondition(lambda self: not self.hangs)
    @rule(domain=st.sampled_from(DOMAINS), on_change=st.sampled_from(OnChange))
    def an_ini_comes_or_changes(self, domain: str, on_change: OnChange) -> None:
        spec = replace(self.world.spec, domain=domain, ini=f"{domain}.ini", on_change=on_change)
        vassal = self.governor.vassals.get(domain)
        if vassal is not None and vassal.listener.fd >= 0:
            self.governor.revise(spec)
        elif vassal is None:
            try:
                self.governor.admit(spec)
            except CannotListen:
                assert self.governor.vassals.get(domain) is None

    @precondition(lambda self: self.known and not self.hangs)
    @rule(data=st.data())
    def an_ini_goes(self, data: st.DataObject) -> None:
        self.governor.dismiss(data.draw(st.sampled_from(self.known)).spec.domain)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), message=st.sampled_from(Message))
    def a_process_speaks(self, data: st.DataObject, message: Message) -> None:
        process = data.draw(st.sampled_from(self.alive))
        self.deliver(lambda: process.says(message))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def a_process_boots(self, data: st.DataObject) -> None:
        process = data.draw(st.sampled_from(self.alive))
        self.deliver(lambda: process.says(*_BOOT))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def processes_are_killed(self, data: st.DataObject) -> None:
        for process in data.draw(st.lists(st.sampled_from(self.alive), min_size=1, unique=True)):
            self.die(process)

    def die(self, process: FakeProcess) -> None:
        self.dead.add(process.pid)
        self.deliver(lambda: process.exits("killed by SIGKILL"))

    @precondition(lambda self: self.dead and not self.hangs)
    @rule(data=st.data(), message=st.sampled_from(Message))
    def a_dead_process_is_heard_again(self, data: st.DataObject, message: Message) -> None:
        pid = data.draw(st.sampled_from(sorted(self.dead)))
        process = next(p for p in self.world.launcher.started if p.pid == pid)
        process.says(message)
        process.exits()

    @rule()
    def spawning_fails_or_works_again(self) -> None:
        launcher = self.world.launcher
        launcher.problem = None if launcher.problem else "cannot spawn: Too many open files"

    @rule()
    def binding_fails_or_works_again(self) -> None:
        listeners = self.world.listeners
        listeners.problem = None if listeners.problem else "cannot listen: No space left"

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def a_socket_is_removed(self, data: st.DataObject) -> None:
        listener = data.draw(st.sampled_from(self.known)).listener
        assert isinstance(listener, FakeListener)
        listener.in_place = False

    @precondition(lambda self: not self.hangs)
    @rule()
    def a_minute_is_over(self) -> None:
        self.governor.restore_listeners(self.governor.vassals)

    @precondition(lambda self: not self.hangs)
    @rule()
    def the_daemon_hangs(self) -> None:
        self.hangs = True

    @precondition(lambda self: not self.hangs)
    @rule()
    def the_daemon_is_killed_and_another_one_goes_on(self) -> None:
        self.world.crash()

    @precondition(lambda self: self.hangs)
    @rule()
    def the_daemon_goes_on(self) -> None:
        self.hangs = False
        while self.undelivered:
            self.undelivered.pop(0)()
        self.world.clock.advance(0)

    @rule(seconds=st.sampled_from([0.1, 2.0, 15.0, 61.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        if self.hangs:
            self.world.clock.now += seconds
        else:
            self.world.clock.advance(seconds)

    # What stays true.

    @invariant()
    def no_vassal_has_more_than_two_processes_and_each_has_a_vassal(self) -> None:
        children = [
            child.process.pid for vassal in self.governor.vassals for child in vassal.children
        ]
        assert all(len(vassal.children) <= 2 for vassal in self.governor.vassals)
        assert len(children) == len(set(children))
        if not self.hangs:
            assert set(children) == {process.pid for process in self.alive}

    @invariant()
    def the_world_agrees_with_each_posture(self) -> None:
        queued = self.governor.boot_positions()
        for vassal in self.governor.vassals:
            posture, listener = POSTURE[vassal.state], vassal.listener
            assert isinstance(listener, FakeListener)
            if not listener.closed:
                assert listener.door_open == (posture.door is Door.OPEN)
                wants = (
                    posture.connections is not Connections.LEFT_TO_THE_APP
                    and not vassal.pending_event
                )
                assert listener.watched == wants
            if vassal not in queued or posture.second is Role.BOOTING:
                assert (vassal.lead.role if vassal.lead else None) is posture.lead
            assert vassal.second is None or vassal.second.role is posture.second

    @invariant()
    def every_wait_has_an_end(self) -> None:
        for vassal in self.governor.vassals:
            assert (vassal.throttle is not None) == (vassal.state is State.THROTTLED)
            assert not vassal.pending_event or vassal.children
            assert vassal.state is not State.REMOVED or vassal.children
            assert all(self.will_end(child) for child in vassal.children)
        children = [child for vassal in self.governor.vassals for child in vassal.children]
        ago = self.world.clock.now - LONGEST_PLACE_SECONDS
        assert sum(c.role is Role.BOOTING and c.boot.spawned > ago for c in children) <= 1
        # Without a process that ends, a timer for the next eviction must run.
        leaving = any(child.role is not Role.SERVING for child in children)
        assert leaving or not self.governor.boot_positions() or self.pending_of_no_vassal == 1

    @property
    def pending_of_no_vassal(self) -> int:
        own = [vassal.throttle for vassal in self.governor.vassals if vassal.throttle]
        own += [c.timer for vassal in self.governor.vassals for c in vassal.children if c.timer]
        return self.world.clock.pending - len(own)

    def will_end(self, child: Child) -> bool:
        process = child.process
        assert isinstance(process, FakeProcess)
        return child.role is Role.SERVING or child.timer is not None or self.is_killed(process)

    @invariant()
    def nothing_is_illegal(self) -> None:
        assert not self.faults.messages

    def teardown(self) -> None:
        logging.getLogger("emperord").removeHandler(self.faults)
        if self.hangs:
            self.the_daemon_goes_on()
        self.every_wanted_app_serves_after_the_faults()
        for vassal in self.known:
            self.governor.dismiss(vassal.spec.domain)
        for process in self.alive:
            self.die(process)
        assert not len(self.governor.vassals)
        assert not self.world.clock.pending, "a timer was forgotten"

    def every_wanted_app_serves_after_the_faults(self) -> None:
        """In the end every wanted app serves."""
        self.world.launcher.problem = self.world.listeners.problem = None
        self.governor.restore_listeners(self.governor.vassals)
        for vassal in self.known:
            while self.governor.vassals.get(vassal.spec.domain) is vassal:
                if vassal.state is State.RUNNING and not vassal.pending_event:
                    break
                self.let_serve(vassal)

    def let_serve(self, vassal: Vassal) -> None:
        """Each process does what is expected, and a visitor asks again."""
        for process in self.alive:
            roles = {c.process: c.role for v in self.governor.vassals for c in v.children}
            if roles[process] is Role.BOOTING and not self.is_killed(process):
                process.says(*_BOOT)
            elif roles[process] is not Role.SERVING:
                self.die(process)
        self.world.clock.advance(200)
        self.world.hit(vassal)


Machine.TestCase.settings = hypothesis_settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestFaults = Machine.TestCase
