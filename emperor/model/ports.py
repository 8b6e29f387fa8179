"""What the governor needs of the world: time, listeners and processes.

The kernel's side stands in `linux/` and in the runtimes, of which `uwsgi/` is one. The tests put
fakes and a clock that they move by hand in its place.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol, TypeVar

from emperor.model.definition import Definition
from emperor.model.history import Fact
from emperor.model.permits import NoFleet, Permits
from emperor.model.slow_imports import SlowImport
from emperor.model.snapshot import ListenerRef, ProcessRef
from emperor.model.spec import RuntimeOptions, Spec
from emperor.model.status import TransitionEvent

T = TypeVar("T")


class CannotListen(Exception):
    """A listener that could not be made; the message names the path, the cause and the cure."""


class CannotLaunch(Exception):
    """A process that could not be spawned; the message names the program and the cause."""


class CannotKeep(Exception):
    """Entries that could not be kept, by their `keys`; the message names the cause and the cure."""

    def __init__(self, message: str, keys: Collection[str]) -> None:
        super().__init__(message)
        self.keys = frozenset(keys)


@dataclass(frozen=True, slots=True)
class StoreEntry:
    """The state of `key`, with the descriptors that belong to it. An entry without a payload
    deletes the key."""

    key: str
    payload: bytes = b""
    fds: tuple[int, ...] = ()


# Makes a spec that takes time, since another program must resolve the definition. Raises BrokenIni.
PendingSpec = Callable[[], Awaitable[Spec]]


class Reader(Protocol):
    """Reads the definitions of vassals."""

    def read(self, definition: Definition) -> Spec | PendingSpec:
        """The spec of the vassal, or what makes it where that takes time. Raises BrokenIni."""

    def follow(self, text: bytes, spec: Spec) -> Spec | None:
        """`spec`, which other settings of `daemon_record.TAKEN` have made of a definition with this
        text, as the settings of now make it. None where it has to be read for that."""

    def aliases(self, definition: Definition) -> Collection[str]:
        """The further host names that the definition claims, also where it is broken."""


class Store(Protocol):
    """Keeps the newest entry of each key for the process that comes after this one."""

    def write(self, entries: Iterable[StoreEntry]) -> None:
        """Keep them. The caller goes on owning the descriptors. Raises CannotKeep."""

    def tidy(self) -> bool:
        """Drop some of what is outdated, as should follow each write, or many of them. Returns
        whether there is more to drop."""


class MaintenanceNote(Protocol):
    """Keeps, for later daemons, which domains are in maintenance and since when."""

    def read(self) -> Mapping[str, datetime]:
        """Each domain with when its maintenance began; empty where that cannot be read."""

    def write(self, domains: Mapping[str, datetime]) -> None:
        """Replace all of it. Raises OSError, and then the earlier note stays."""


class Recorder(Protocol):
    """Where transitions are written down."""

    def record(self, event: TransitionEvent) -> None:
        """Write a transition down."""


class Timer(Protocol):
    """A pending call."""

    def cancel(self) -> None:
        """Call it off. Harmless after it ran."""


class Clock(Protocol):
    """Monotonic seconds and timers. An asyncio loop is one."""

    def time(self) -> float:
        """Now, in monotonic seconds."""

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: object) -> Timer:
        """Call `callback(*args)` once, `delay` seconds from now."""


class Gate(Protocol):
    """Pauses child processes of the daemon that are not vassals, for an upgrade."""

    def passing(self) -> AbstractAsyncContextManager[None]:
        """Wait until the gate is open, then run the block: a child process from its start to its
        end. An upgrade waits for the end."""

    async def repeat(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` returns, which runs a child process. An upgrade cancels it, and it is run
        again if the upgrade fails."""


class Listener(Protocol):
    """A bound, listening unix socket that lives as long as its ini."""

    @property
    def fd(self) -> int:
        """The descriptor whose duplicate a vassal gets; -1 where it could not be bound again."""

    @property
    def ref(self) -> ListenerRef:
        """How it is recognised by a later daemon."""

    def open_door(self) -> None:
        """Let nginx connect: set the path's mode to that of the settings."""

    def close_door(self) -> None:
        """Keep nginx out: mode 0000, with which only root can connect."""

    def bar_door(self) -> None:
        """Keep nginx out under `activation = socket` too."""

    def link(self, host: str) -> bool:
        """Have nginx find this socket by another host too, until the door closes. Returns whether
        it does."""

    def apply(self, spec: Spec) -> None:
        """Follow a changed spec: backlog, activation and aliases; its `socket` must be the same.

        Raises CannotListen, and then nothing was changed.
        """

    def watch(self, on_connection: Callable[..., object], argument: object, /) -> None:
        """Call `on_connection(argument)` while a connection is pending, until `unwatch`."""

    def unwatch(self) -> None:
        """Leave pending connections to the app. Harmless when nothing is watched."""

    def refuse(self, answer: bytes) -> int:
        """Accept pending connections, answer them with these bytes, close them, and return their
        number. Only for a listener that no app has had: an app with a duplicate could make the
        daemon wait here for ever."""

    def shut(self, answer: bytes) -> None:
        """Answer all pending connections with these bytes, and refuse all later ones, also where an
        app has a duplicate. Only `close` may follow."""

    def is_in_place(self) -> bool:
        """Whether the path still leads to this very socket."""

    def last_connect(self) -> float | None:
        """Wall-clock time of the last connect() that the kernel noted, None when there was none."""

    def note_next_connect(self) -> None:
        """Have the kernel note the next connect() too. On a file system mounted relatime it notes
        only the first one after each call."""

    def close(self) -> None:
        """Close it, and unlink path, links and folder where they still belong to this socket."""


class Listeners(Protocol):
    """Makes listeners."""

    def listen(self, spec: Spec) -> Listener:
        """Make the folder, bind with the door closed (unless `activation = socket`), and listen.

        Raises CannotListen.
        """

    def unlink(self, name: str) -> None:
        """Have nginx find no wildcard's socket by the host `name`, nor by the hosts below it if it
        is a wildcard."""

    def adopt(self, spec: Spec, ref: ListenerRef | None, fd: int) -> Listener:
        """Go on with a socket that an earlier daemon bound, even where its path is gone. Without a
        reference the earlier daemon could not bind it again, and `fd` is -1."""


@dataclass(frozen=True, slots=True)
class QueueLength:
    """How many connections wait on a listener, and how many its queue can hold."""

    pending: int
    capacity: int


class Message(Enum):
    """What a process tells about itself. The numbers are the bytes of uWSGI's emperor protocol."""

    LOADED = 1
    ACCEPTING = 5
    FIRST_REPLY = 17
    IDLE = 22


# Signals by which a person tells a server to end or to start anew.
_ORDERS = frozenset({"SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"})


@dataclass(frozen=True, slots=True)
class WorkerDeath:
    """Why a worker died, in a sentence, and whether that is a limit which the app has reached."""

    why: str
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: by its exit code, or by a signal ("SIGKILL").

    Both are None where the kernel does not tell, and `unknown` says why not. `cause` is the reason
    in a sentence, as far as the runtime knows one.
    """

    code: int | None = None
    signal: str | None = None
    unknown: str = ""
    cause: str = ""

    @property
    def is_by_order(self) -> bool:
        """Whether it did what it was told: uWSGI ends with status 0 then. A signal that comes
        before it can handle signals kills it."""
        return self.code == 0 or self.signal in _ORDERS

    def __str__(self) -> str:
        """The cause, or else "exit status 22", "killed by SIGKILL" and the like."""
        if self.cause:
            return self.cause
        if self.code is not None:
            return f"exit status {self.code}"
        if self.signal is not None:
            return f"killed by {self.signal}"
        return f"exit status unknown: {self.unknown}"


class Process(Protocol):
    """The first process of an app server, and the process group that it leads."""

    @property
    def pid(self) -> int:
        """The pid of the process, which is also the id of its process group."""

    @property
    def ref(self) -> ProcessRef:
        """How it is recognised by a later daemon."""

    @property
    def fds(self) -> tuple[int, ...]:
        """What holds it: its pipe and, once it was spawned, its pidfd."""

    def measure_imports(self) -> None:
        """Find out which imports take the time of its start, which follows."""

    def start(self) -> None:
        """Spawn it. Raises CannotLaunch, and then nothing is left of it."""

    def stop(self) -> None:
        """Ask for a graceful stop: requests in flight are finished."""

    def remind(self) -> None:
        """Repeat the order to stop for workers that were forked since, and may have missed it."""

    def kill(self) -> None:
        """SIGKILL the whole process group."""

    def memory_peak(self) -> int | None:
        """The most memory that all of it has held at once, as its limits count it; None where that
        is not known. Any thread may ask."""

    def why_limited(self) -> str:
        """Which limit it has reached last, in a sentence; empty where it has reached none."""

    def take_slow_imports(self, now: float) -> tuple[SlowImport, ...] | None:
        """What took the time of its start until `now`, in monotonic seconds; None: that was not
        measured, or told before."""

    def worker_death(self) -> WorkerDeath | None:
        """The death of a worker that was replaced just now; None if all is in order."""

    def dies_at_start(self) -> bool:
        """Whether its workers, none of which has accepted yet, die again and again."""

    def why_failing_again(self) -> str:
        """Which of its processes beside the workers is started again and again in vain, and why, in
        a sentence; empty where none is known."""


class ProcessEvents(Protocol):
    """The callbacks for what a process reports. `generation` is the number of its spawn."""

    def on_message(self, domain: str, generation: int, message: Message) -> None:
        """The process sent a byte."""

    def on_exit(self, domain: str, generation: int, ended: Exit) -> None:
        """The process is dead and reaped, and its process group is killed."""


class Launcher(Protocol):
    """Starts vassals."""

    def prepare(
        self,
        spec: Spec,
        listener: Listener,
        generation: int,
        events: ProcessEvents,
        text: bytes,
    ) -> Process:
        """A process for `spec` that will hold `listener`, and that is not started yet. It runs by
        `text`, which the spec was read from: the file may hold anything by now. Raises
        CannotLaunch."""

    def adopt(
        self,
        spec: Spec,
        ref: ProcessRef,
        fds: Sequence[int],
        generation: int,
        events: ProcessEvents,
    ) -> Process | None:
        """Go on with a process that an earlier daemon started; None where it never did. The
        descriptors are the launcher's from here on."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A kind of app server: what the daemon needs to run vassals of it. `options` is the type of
    `Spec.runtime` for these."""

    name: str
    options: type[RuntimeOptions]
    reader: Reader
    launcher: Launcher


@dataclass(frozen=True, slots=True)
class Ports:
    """All of the world that the governor reaches.

    Each launcher has the name of its runtime. `history` takes what shall be kept of the past, and
    must return at once. `wall_clock` tells the time of day with its time zone, `chance` a random
    number in [0, 1), and `cores` how many this process may use. `permits` says which apps may run
    on this machine of a fleet.
    """

    listeners: Listeners
    launchers: Mapping[str, Launcher]
    store: Store
    maintenance: MaintenanceNote
    history: Callable[[Fact], object]
    clock: Clock
    wall_clock: Callable[[], datetime]
    chance: Callable[[], float]
    cores: int
    permits: Permits = field(default_factory=NoFleet)
