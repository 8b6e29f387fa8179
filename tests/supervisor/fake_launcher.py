"""A runtime without processes: a test says when one accepts, sends a byte or ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from emperor.model.ports import CannotLaunch, Exit, Listener, Message, ProcessEvents, WorkerDeath
from emperor.model.slow_imports import SlowImport
from emperor.model.snapshot import ProcessRef
from emperor.model.spec import RuntimeOptions, Spec
from tests.supervisor.action_log import ActionLog


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
    death: WorkerDeath | None = None
    limit: str = ""
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
        if self.launcher.fault:
            raise self.launcher.fault
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
        return self.limit

    def take_slow_imports(self, _now: float) -> tuple[SlowImport, ...] | None:
        return self.slow_imports if self.is_measured else None

    def worker_death(self) -> WorkerDeath | None:
        return self.death

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
    """Starts processes; with a `problem` it raises CannotLaunch, and with a `fault` that."""

    def __init__(self, actions: ActionLog, first_pid: int = 100) -> None:
        self.actions = actions
        self.first_pid = first_pid
        self.prepared: list[FakeProcess] = []
        self.started: list[FakeProcess] = []
        self.problem: str | None = None
        self.fault: Exception | None = None
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
