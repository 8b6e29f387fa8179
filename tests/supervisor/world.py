"""A governor, and all that it touches as fakes, which a test moves by hand."""

import random
from dataclasses import replace
from datetime import UTC, datetime

from emperor.model.cause import Cause, CauseKind
from emperor.model.history import Fact
from emperor.model.permits import NoFleet, Permits
from emperor.model.ports import Ports
from emperor.model.settings import Settings, read_settings
from emperor.model.snapshot import decoder
from emperor.model.spec import Identity, Spec
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal
from emperor.supervisor.restore import saved_vassals
from tests.supervisor.action_log import ActionLog
from tests.supervisor.fake_clock import FakeClock
from tests.supervisor.fake_launcher import RUNTIMES, FakeLauncher, FakeOptions, FakeProcess
from tests.supervisor.fake_listeners import WRONG, FakeListener, FakeListeners
from tests.supervisor.fake_store import FakeNote, FakeRecorder, FakeStore

CORES = 2
SPEC = Spec("a.example", "a.example.ini", "/s/a.example/socket", FakeOptions())


def settings(**flags: str) -> Settings:
    """The default settings, overridden by `flags`."""
    return read_settings("", "no file", {k.replace("_", "-"): v for k, v in flags.items()})


class World:
    """A governor with one vassal, `a.example`, and the fakes that it uses."""

    permits: Permits = NoFleet()

    def __init__(self, spec: Spec | None = None, **flags: str) -> None:
        self.actions = ActionLog()
        self.clock = FakeClock()
        self.listeners = FakeListeners(self.actions)
        self.launcher = FakeLauncher(self.actions)
        self.other_launcher = FakeLauncher(self.actions, first_pid=50_000)
        self.runtimes = dict(RUNTIMES)
        self.recorder = FakeRecorder()
        self.store = FakeStore(self.actions)
        self.note = FakeNote()
        self.past: list[Fact] = []
        self.settings = settings(**flags)
        self.governor = self._governor()
        self.spec = spec or SPEC
        self.governor.admit(self.spec)
        found = self.governor.vassals.get("a.example")
        assert found
        self.vassal = found

    def _governor(self) -> Governor:
        ports = Ports(
            listeners=self.listeners,
            launchers={"fake": self.launcher, "other": self.other_launcher},
            store=self.store,
            maintenance=self.note,
            history=self.past.append,
            clock=self.clock,
            wall_clock=lambda: datetime.fromtimestamp(self.clock.time(), UTC),
            chance=random.random,
            cores=CORES,
            permits=self.permits,
        )
        return Governor(self.settings, ports, self.recorder)

    def another_governor(self) -> Governor:
        """The governor of a daemon that has nothing but the notes of the one before."""
        return self._governor()

    def crash(self) -> None:
        """Kill the daemon, and start another that goes on from the store."""
        asleep = self.take_over()
        self.governor.resume(asleep)

    def take_over(self) -> list[Vassal]:
        """Kill the daemon, and start another, which has yet to resume the vassals that sleep."""
        self.actions.steps_left = None
        self.clock = FakeClock(self.clock.now)
        for listener in self.listeners.made:
            listener.unwatch()
        started = self.launcher.started + self.other_launcher.started
        before = {process.pid: process.events for process in started}
        self.governor = self._governor()
        decode = decoder(self.runtimes)
        saved = saved_vassals(self.store.left, decode, lambda fd, _: fd != WRONG)
        asleep = self.governor.restore(saved)
        found = self.governor.vassals.get("a.example")
        self.vassal = found or self.vassal
        for process in started:
            if process.events is not before.get(process.pid):
                process.deliver()
        return asleep

    @property
    def listener(self) -> FakeListener:
        """The present listener of a.example."""
        listener = self.vassal.listener
        assert isinstance(listener, FakeListener)
        return listener

    def add(self, domain: str, identity: Identity | None = None) -> Vassal:
        """Admit another vassal, which runs as that user."""
        ini = f"{domain}.ini"
        self.governor.admit(replace(self.spec, domain=domain, ini=ini, identity=identity))
        found = self.governor.vassals.get(domain)
        assert found
        return found

    def hit(self, vassal: Vassal | None = None, person: bool = False) -> None:
        """A request comes through nginx's fallback."""
        now = self.clock.time()
        cause = Cause("hit", now, "203.0.113.9", person=person, kind=CauseKind.HIT)
        self.governor.demand(vassal or self.vassal, cause)

    def run(self) -> FakeProcess:
        """Wake a.example, let it accept, and wait until a start counts as good."""
        self.hit()
        process = self.launcher.last
        process.accepts()
        self.clock.advance(60)
        return process

    @property
    def state(self) -> str:
        return self.vassal.state.value
