"""A world for the governor that is moved by hand: clock, listeners, processes."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from emperor.governor import Governor
from emperor.model.ports import CannotLaunch, CannotListen, Listener, News, Owner
from emperor.model.settings import Settings, read_settings
from emperor.model.status import Happening
from emperor.model.vassal import Spec
from emperor.vassal import Vassal


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
    """Time stands still until somebody advances it."""

    def __init__(self) -> None:
        self.now = 1000.0
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
        """Let time pass, and every timer ring at its moment."""
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


class FakeListener:
    """Remembers its door and who watches it."""

    def __init__(self, spec: Spec, diary: list[str]) -> None:
        self.spec = spec
        self.diary = diary
        self.door_open = False
        self.barred = False
        self.is_shut = False
        self.in_place = True
        self.closed = False
        self.refused = 0
        self.connected: float | None = None
        self._watcher: Callable[[], object] | None = None

    @property
    def fd(self) -> int:
        return -1 if self.closed else 7

    @property
    def watched(self) -> bool:
        return self._watcher is not None

    def connect(self) -> None:
        """Somebody connects, and the daemon is told if it looks."""
        assert self._watcher, "nobody watches this listener"
        self._watcher()

    def open_door(self) -> None:
        if not self.door_open:
            self.diary.append("open")
        self.door_open, self.barred = True, False

    def close_door(self) -> None:
        if self.door_open:
            self.diary.append("close")
        self.door_open = self.barred = False

    def apply(self, spec: Spec) -> None:
        self.spec = spec

    def watch(self, on_connection: Callable[..., object], /, *args: object) -> None:
        self._watcher = lambda: on_connection(*args)

    def unwatch(self) -> None:
        self._watcher = None

    def bar_door(self) -> None:
        self.close_door()
        self.barred = True

    def shut(self) -> None:
        self.is_shut = True

    def refuse(self) -> int:
        self.refused += 1
        return 1

    def is_in_place(self) -> bool:
        return self.in_place

    def last_connect(self) -> float | None:
        return self.connected

    def close(self) -> None:
        self.closed = True


class FakeListeners:
    """Makes them, or cannot."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.made: list[FakeListener] = []
        self.problem: str | None = None

    def listen(self, spec: Spec) -> FakeListener:
        if self.problem:
            raise CannotListen(self.problem)
        self.made.append(FakeListener(spec, self.diary))
        return self.made[-1]


@dataclass(eq=False)
class FakeProcess:
    """A process that says and does what the test tells it to."""

    pid: int
    spec: Spec
    generation: int
    owner: Owner
    diary: list[str]

    def drain(self) -> None:
        self.diary.append(f"drain {self.pid}")

    def kill(self) -> None:
        self.diary.append(f"kill {self.pid}")

    def says(self, *news: News) -> None:
        for one in news:
            self.owner.heard(self.spec.domain, self.generation, one)

    def accepts(self) -> None:
        self.says(News.LOADED, News.ACCEPTING)

    def exits(self, how: str = "exit status 0") -> None:
        self.owner.exited(self.spec.domain, self.generation, how)


class FakeLauncher:
    """Starts them, or cannot."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.started: list[FakeProcess] = []
        self.problem: str | None = None

    def launch(self, spec: Spec, listener: Listener, generation: int, owner: Owner) -> FakeProcess:
        if self.problem:
            raise CannotLaunch(self.problem)
        pid = 100 + len(self.started)
        self.diary.append(f"spawn {pid}")
        self.started.append(FakeProcess(pid, spec, generation, owner, self.diary))
        return self.started[-1]

    @property
    def last(self) -> FakeProcess:
        return self.started[-1]


class FakeRecorder:
    """Keeps what was told, and what was told as a worry."""

    def __init__(self) -> None:
        self.told: list[Happening] = []
        self.worries: list[Happening] = []

    def record(self, happening: Happening, worrying: bool = False) -> None:
        self.told.append(happening)
        if worrying:
            self.worries.append(happening)


def settings(**flags: str) -> Settings:
    """The defaults, over which `flags` win."""
    return read_settings("", "no file", {k.replace("_", "-"): v for k, v in flags.items()})


class World:
    """One governor, one vassal `a.example`, and all that it touches."""

    def __init__(self, spec: Spec | None = None, **flags: str) -> None:
        self.diary: list[str] = []
        self.clock = FakeClock()
        self.listeners = FakeListeners(self.diary)
        self.launcher = FakeLauncher(self.diary)
        self.recorder = FakeRecorder()
        self.governor = Governor(
            settings(**flags), self.listeners, self.launcher, self.clock, self.recorder
        )
        self.spec = spec or Spec("a.example", "a.example.ini", str(Path("/s/a.example/socket")))
        self.governor.admit(self.spec)
        found = self.governor.get("a.example")
        assert found
        self.vassal = found

    @property
    def listener(self) -> FakeListener:
        """The one that a.example has now."""
        listener = self.vassal.listener
        assert isinstance(listener, FakeListener)
        return listener

    def add(self, domain: str) -> Vassal:
        """One more vassal."""
        self.governor.admit(replace(self.spec, domain=domain, ini=f"{domain}.ini"))
        found = self.governor.get(domain)
        assert found
        return found

    def hit(self, vassal: Vassal | None = None, person: bool = False) -> None:
        """A request came by the fallback."""
        cause = self.governor.cause("hit", "203.0.113.9", person=person)
        self.governor.demand(vassal or self.vassal, cause)

    def run(self) -> FakeProcess:
        """Hit it, and let it accept and settle."""
        self.hit()
        process = self.launcher.last
        process.accepts()
        self.clock.advance(60)
        return process

    @property
    def state(self) -> str:
        return self.vassal.state.value
