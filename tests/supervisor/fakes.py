"""Fakes of all that the governor touches: the clock, the store, listeners and processes.

A test moves them by hand.
"""

import heapq
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Literal

from emperor.model.cause import Cause
from emperor.model.history import Fact
from emperor.model.permits import NoFleet, Permits
from emperor.model.ports import (
    CannotKeep,
    CannotLaunch,
    CannotListen,
    Exit,
    Listener,
    Message,
    Ports,
    ProcessEvents,
    StoreEntry,
)
from emperor.model.settings import Settings, read_settings
from emperor.model.slow_imports import SlowImport
from emperor.model.snapshot import ListenerRef, ProcessRef, decoder
from emperor.model.spec import Identity, RuntimeOptions, Spec
from emperor.model.status import Level, TransitionEvent
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal
from emperor.supervisor.restore import saved_vassals

# The number of a descriptor of the wrong kind.
WRONG = -7
CORES = 2


@dataclass(frozen=True, slots=True)
class FakeOptions(RuntimeOptions):
    """The options of the runtime that FakeLauncher stands for."""

    name: Literal["fake"] = "fake"
    reports_loading: bool = True


@dataclass(frozen=True, slots=True)
class OtherOptions(RuntimeOptions):
    """The options of a second runtime."""

    name: Literal["other"] = "other"
    reports_loading: bool = False
    interpreter: str = "python3"


RUNTIMES: Mapping[str, type[RuntimeOptions]] = {"fake": FakeOptions, "other": OtherOptions}
SPEC = Spec("a.example", "a.example.ini", "/s/a.example/socket", FakeOptions())


@dataclass(order=True)
class FakeTimer:
    """A pending call of FakeClock."""

    when: float
    number: int
    call: Callable[[], object] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """A clock that stands still until a test advances it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self._timers: list[FakeTimer] = []
        self._numbers = count()

    def time(self) -> float:
        return self.now

    def call_later(
        self, delay: float, callback: Callable[..., object], /, *args: object
    ) -> FakeTimer:
        timer = FakeTimer(self.now + delay, next(self._numbers), lambda: callback(*args))
        heapq.heappush(self._timers, timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Advance the time, and call each timer when it is due."""
        end = self.now + seconds
        while self._timers and self._timers[0].when <= end:
            timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                self.now = max(self.now, timer.when)
                timer.call()
        self.now = end

    @property
    def pending(self) -> int:
        """How many timers are set."""
        return sum(not timer.cancelled for timer in self._timers)


class Crash(BaseException):
    """The daemon is killed at this point."""


class ActionLog(list[str]):
    """What the daemon does to the world, in order. It can be killed before or after each step:
    `steps_left` is the number of half steps until then."""

    def __init__(self) -> None:
        super().__init__()
        self.steps_left: int | None = None

    @contextmanager
    def step(self, what: str | None = None) -> Iterator[None]:
        """A step of the daemon."""
        self._count()
        if what:
            self.append(what)
        yield
        self._count()

    def _count(self) -> None:
        if self.steps_left is not None:
            self.steps_left -= 1
            # A killed daemon does nothing more, not even in a `finally`.
            if self.steps_left < 0:
                raise Crash


class FakeStore:
    """Keeps entries beyond a crash, as the bag does."""

    def __init__(self, actions: ActionLog) -> None:
        self.actions = actions
        self.entries: dict[str, StoreEntry] = {}
        self.problem: str | None = None
        self.writes = 0

    def write(self, entries: Iterable[StoreEntry]) -> None:
        with self.actions.step():
            self.writes += 1
            written = {entry.key: entry for entry in entries}
            if self.problem:
                raise CannotKeep(self.problem, written.keys())
            self.entries |= written

    def tidy(self) -> bool:
        """Drop one deleted entry."""
        deleted = [key for key, entry in self.entries.items() if not entry.payload]
        if deleted:
            del self.entries[deleted[0]]
        return len(deleted) > 1

    @property
    def left(self) -> list[StoreEntry]:
        """The entries that the next daemon finds."""
        return [entry for entry in self.entries.values() if entry.payload]


class FakeNote:
    """Which domains are in maintenance, beyond the end of a daemon."""

    def __init__(self) -> None:
        self.kept: Mapping[str, datetime] = {}
        self.problem: OSError | None = None

    def read(self) -> Mapping[str, datetime]:
        return self.kept

    def write(self, domains: Mapping[str, datetime]) -> None:
        if self.problem:
            raise self.problem
        self.kept = dict(domains)


class FakeListener:
    """A listener that is only its state: the door, the watcher and what was done to it."""

    def __init__(self, spec: Spec, inode: int, actions: ActionLog) -> None:
        self.spec = spec
        self.inode = inode
        self.actions = actions
        self.door_open = False
        self.barred = False
        self.is_shut = False
        self.in_place = True
        self.closed = False
        self.refused = 0
        self.answer = b""
        self.links: list[str] = []
        self.noted = 0
        self.fault: Exception | None = None
        self.connect_fault: Exception | None = None
        self.connected: float | None = None
        self._watcher: Callable[[], object] | None = None

    @property
    def fd(self) -> int:
        return -1 if self.closed else self.inode

    @property
    def ref(self) -> ListenerRef:
        return ListenerRef(self.inode, device=1, bound_at=1)

    @property
    def watched(self) -> bool:
        return self._watcher is not None

    def connect(self) -> None:
        """A client connects. The daemon must watch the listener, and is notified."""
        assert self._watcher, "the daemon does not watch this listener"
        self._watcher()

    def open_door(self) -> None:
        if self.fault:
            raise self.fault
        if not self.door_open:
            with self.actions.step("open"):
                self.door_open = True
        self.barred = False

    def close_door(self) -> None:
        if self.fault:
            raise self.fault
        if self.door_open:
            with self.actions.step("close"):
                self.door_open = False
        self.barred = False

    def link(self, host: str) -> bool:
        self.links.append(host)
        return True

    def apply(self, spec: Spec) -> None:
        self.spec = spec

    def watch(self, on_connection: Callable[..., object], argument: object, /) -> None:
        self._watcher = lambda: on_connection(argument)

    def unwatch(self) -> None:
        self._watcher = None

    def bar_door(self) -> None:
        self.close_door()
        self.barred = True

    def shut(self, answer: bytes) -> None:
        assert answer
        self.is_shut = True

    def refuse(self, answer: bytes) -> int:
        self.refused += 1
        self.answer = answer
        return 1

    def is_in_place(self) -> bool:
        return self.in_place

    def last_connect(self) -> float | None:
        if self.connect_fault:
            raise self.connect_fault
        return self.connected

    def note_next_connect(self) -> None:
        self.noted += 1

    def close(self) -> None:
        self.closed = True
        self.in_place = False


class FakeListeners:
    """Makes listeners; with a `problem` it raises CannotListen."""

    def __init__(self, actions: ActionLog) -> None:
        self.actions = actions
        self.made: list[FakeListener] = []
        self.unlinked: list[str] = []
        self.problem: str | None = None

    def listen(self, spec: Spec) -> FakeListener:
        if self.problem:
            raise CannotListen(self.problem)
        self.made.append(FakeListener(spec, 10 + len(self.made), self.actions))
        return self.made[-1]

    def unlink(self, name: str) -> None:
        self.unlinked.append(name)

    def adopt(self, spec: Spec, ref: ListenerRef | None, fd: int) -> FakeListener:
        if ref is None:
            listener = FakeListener(spec, -1, self.actions)
            listener.close()
            return listener
        # The store has a duplicate, so the socket outlives a close.
        [listener] = [listener for listener in self.made if listener.inode == fd == ref.inode]
        assert listener.spec.socket == spec.socket
        listener.closed = False
        return listener


@dataclass(eq=False)
class FakeProcess:
    """A process whose messages and exit come from the test. As in a pipe, they are kept until the
    daemon has handled them."""

    spec: Spec
    generation: int
    events: ProcessEvents
    launcher: "FakeLauncher"
    pipe: int
    pid: int = 0
    unread: list[Message] = field(default_factory=list)
    exit_cause: str | None = None
    worker_death: str = ""
    workers_die: bool = False
    is_measured: bool = False
    slow_imports: tuple[SlowImport, ...] = ()
    ref: ProcessRef = field(init=False)

    def __post_init__(self) -> None:
        self.ref = ProcessRef(self.spec.runtime.name, None, self.pipe, "/logs/a")

    @property
    def fds(self) -> tuple[int, ...]:
        return (self.pipe, self.pipe + 1) if self.pid else (self.pipe,)

    def measure_imports(self) -> None:
        self.is_measured = True

    def start(self) -> None:
        if self.launcher.problem:
            raise CannotLaunch(self.launcher.problem)
        pid = self.launcher.first_pid + len(self.launcher.started)
        with self.launcher.actions.step(f"spawn {pid}"):
            self.pid = self.ref.pid = pid
            self.launcher.started.append(self)

    def stop(self) -> None:
        with self.launcher.actions.step(f"stop {self.pid}"):
            pass

    def remind(self) -> None:
        with self.launcher.actions.step(f"remind {self.pid}"):
            pass

    def kill(self) -> None:
        with self.launcher.actions.step(f"kill {self.pid}"):
            pass

    def memory_peak(self) -> int | None:
        return None

    def why_limited(self) -> str:
        return ""

    def take_slow_imports(self, _now: float) -> tuple[SlowImport, ...] | None:
        return self.slow_imports if self.is_measured else None

    def why_replaced(self) -> str:
        return self.worker_death

    def dies_at_start(self) -> bool:
        return self.workers_die

    def why_failing_again(self) -> str:
        return ""

    def says(self, *messages: Message) -> None:
        self.unread += messages
        self.deliver()

    def accepts(self) -> None:
        self.says(Message.LOADED, Message.ACCEPTING)

    def exits(self, cause: str = "exit status 0") -> None:
        self.exit_cause = cause
        self.deliver()

    def deliver(self) -> None:
        """Report to the daemon what it has not handled yet."""
        while self.unread:
            self.events.on_message(self.spec.domain, self.generation, self.unread[0])
            self.unread.pop(0)
        if self.exit_cause:
            self.events.on_exit(self.spec.domain, self.generation, Exit(cause=self.exit_cause))


class FakeLauncher:
    """Starts processes; with a `problem` it raises CannotLaunch."""

    def __init__(self, actions: ActionLog, first_pid: int = 100) -> None:
        self.actions = actions
        self.first_pid = first_pid
        self.prepared: list[FakeProcess] = []
        self.started: list[FakeProcess] = []
        self.problem: str | None = None
        self.text = b""

    def prepare(
        self,
        spec: Spec,
        listener: Listener,
        generation: int,
        events: ProcessEvents,
        text: bytes,
    ) -> FakeProcess:
        if self.problem or listener.fd < 0:
            raise CannotLaunch(self.problem or "it could not be bound again")
        pipe = 10 * self.first_pid + 2 * len(self.prepared)
        self.text = text
        self.prepared.append(FakeProcess(spec, generation, events, self, pipe))
        return self.prepared[-1]

    def adopt(
        self,
        spec: Spec,
        ref: ProcessRef,
        fds: Sequence[int],
        generation: int,
        events: ProcessEvents,
    ) -> FakeProcess | None:
        [process] = [process for process in self.prepared if process.pipe == fds[0]]
        assert (process.pipe, process.generation, process.spec) == (
            ref.pipe_inode,
            generation,
            spec,
        )
        assert ref.pid in (None, process.pid)
        ref.pid = process.pid or None
        process.events, process.ref = events, ref
        return process if process.pid else None

    @property
    def last(self) -> FakeProcess:
        return self.started[-1]


class FakeRecorder:
    """Keeps the recorded events."""

    def __init__(self) -> None:
        self.events: list[TransitionEvent] = []

    @property
    def warnings(self) -> list[TransitionEvent]:
        return [event for event in self.events if event.level is Level.WARNING]

    def record(self, event: TransitionEvent) -> None:
        self.events.append(event)


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
        cause = Cause("hit", self.clock.time(), "203.0.113.9", person=person)
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
