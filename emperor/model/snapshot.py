"""What has to be known of a vassal to go on with it in another process, and its form as bytes.

The descriptors travel beside the bytes, in this order: the listener's, then for each child its end
of the pipe and, once it was spawned, its pidfd. Moments are CLOCK_MONOTONIC, which all processes of
a boot share.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import msgspec

from emperor.model.cause import Boot, Cause, StartMethod, Stop, with_kind
from emperor.model.lifecycle import Event, State
from emperor.model.posture import Role
from emperor.model.slow_imports import SlowImport
from emperor.model.spec import RuntimeOptions, Spec, Stamp

# The format of everything that one daemon keeps for the next, DaemonRecord included. A new field
# with a default keeps this number. Any other change needs a new one.
FORMAT: Literal[2] = 2

# Where the output of a process that was given no log begins.
NO_LOG = -1


class Stale(Exception):
    """Bytes that this version cannot read; the message says why."""


class FdKind(Enum):
    """What a descriptor is."""

    SOCKET = "a socket"
    PIDFD = "a pidfd"


@dataclass(frozen=True, slots=True)
class ListenerRef:
    """How a bound socket is recognised at its path: inode and device. `bound_at` is the atime of
    the path just after the bind, in nanoseconds."""

    inode: int
    device: int
    bound_at: int


@dataclass(slots=True)
class ProcessRef:
    """How a process is recognised, and where its output is in its log. `runtime` is the name of
    the runtime that launched it.

    `pid` is None while it is about to be spawned. Should the daemon die at that moment, it is known
    by the inode of its end of the pipe. `stop_heard_by` are the pids of the workers that were
    there when the process was told to stop, None before. `copy` is the path of the copy that it
    reads instead of its definition; empty: it reads the definition itself. `group` is the name of
    its control group, empty where it has none. `method` is how it was started, and `way` says that
    to people, with the reason; None and empty where it was not, or where an earlier version did so.
    The process keeps the reference up to date.
    """

    runtime: str
    pid: int | None
    pipe_inode: int
    log: str
    log_begins: int = 0
    stop_heard_by: tuple[int, ...] | None = None
    copy: str = ""
    group: str = ""
    way: str = ""
    method: StartMethod | None = None


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that is handled as soon as a process has left its slot."""

    event: Event
    cause: Cause


@dataclass(slots=True, eq=False)
class ProcessRecord:
    """What is kept of a process in one of the two slots.

    `generation` is the number of its spawn. `deadline` is when it is killed unless it has booted or
    stopped by then (monotonic seconds), and `kill_reason` why the daemon killed it. `respawns`
    counts the workers that replaced one that died. `stamp` is that of the ini that it runs by.
    """

    generation: int
    spec: Spec
    ref: ProcessRef
    boot: Boot
    role: Role
    deadline: float | None = None
    kill_reason: str | None = None
    respawns: int = 0
    stamp: Stamp | None = None

    def served_seconds(self, now: float) -> float:
        """The seconds for which the process has been accepting."""
        return 0.0 if self.boot.accepting is None else now - self.boot.accepting


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an ini: `text` was read from the file with that stamp, and says `spec`."""

    spec: Spec
    stamp: Stamp | None
    text: bytes


@dataclass(frozen=True, slots=True)
class FailedVersion:
    """A version whose process ended before it accepted, and what administrators are told of it."""

    version: Version
    why: str


@dataclass(slots=True, eq=False)
class VassalRecord:
    """What is kept of a vassal: every field of it. Times are monotonic seconds.

    `stamp` is that of the ini which `spec` was read from, and `text` its content; it is empty where
    the source keeps none. `listener_ref` is None where the socket
    could not be bound again, and `bind_failed_at` is when that was tried last. `queued_for` is the
    cause of the process that waits for its turn to boot; its slot is empty until then.
    `is_put_to_sleep`: the app sleeps by an order, even if its ini says that it never does.
    `in_maintenance`: visitors get the page of maintenance, and the app does not start.
    `early_ends` counts the processes in a row that ended by an order soon after their start.
    `has_accepted`: a process by `text` has accepted. `good` is the last version of which that is
    true, while a newer one is in effect. `failed` is the newest version, while the good one is in
    effect again. One of the two is None. `boots` are the durations of the last boots in seconds.
    `last_error_is_limit`: the last error is a limit by which a worker has died.
    `slow_imports` are what took the time at the last start of which that was measured.
    """

    spec: Spec
    since: float
    stamp: Stamp | None = None
    listener_ref: ListenerRef | None = None
    state: State = State.PARKED
    lead: ProcessRecord | None = None
    second: ProcessRecord | None = None
    pending_event: PendingEvent | None = None
    queued_for: Cause | None = None
    retry_at: float | None = None
    starts: int = 0
    consecutive_failures: int = 0
    last_error: str | None = None
    last_error_is_limit: bool = False
    ini_error: str | None = None
    last_hit: float | None = None
    last_boot: Boot | None = None
    last_stop: Stop | None = None
    bind_failed_at: float | None = None
    text: bytes = b""
    is_put_to_sleep: bool = False
    early_ends: int = 0
    has_accepted: bool = False
    good: Version | None = None
    failed: FailedVersion | None = None
    boots: tuple[float, ...] = ()
    in_maintenance: bool = False
    slow_imports: tuple[SlowImport, ...] = ()
    format: Literal[2] = FORMAT

    @property
    def descriptors(self) -> tuple[FdKind, ...]:
        """The kinds of the descriptors that travel beside it, in their order."""
        kinds = [] if self.listener_ref is None else [FdKind.SOCKET]
        for child in (self.lead, self.second):
            if child:
                kinds += [FdKind.SOCKET] if child.ref.pid is None else [FdKind.SOCKET, FdKind.PIDFD]
        return tuple(kinds)


# How earlier versions began a sentence about a limit.
_LIMITS = ("cannot get more memory: ", "cannot start a process: ")
_ENCODER = msgspec.msgpack.Encoder()


def encode(record: VassalRecord) -> bytes:
    """The bytes of its fields. What a subclass adds is not encoded."""
    return _ENCODER.encode(record)


def decoder(runtimes: Mapping[str, type[RuntimeOptions]]) -> Callable[[bytes], VassalRecord]:
    """The opposite of `encode`, given the options of each runtime by its name.

    The function raises Stale for bytes of another format or of no format, and for a runtime that is
    not among these.
    """
    made: dict[bytes, RuntimeOptions] = {}

    def options(_: type, plain: Any) -> RuntimeOptions:
        # Most of thousands of vassals have equal options, which are made once.
        key = _ENCODER.encode(plain)
        if key not in made:
            made[key] = msgspec.convert(plain, _known(runtimes, plain["name"]))
        return made[key]

    records = msgspec.msgpack.Decoder(VassalRecord, dec_hook=options)

    def decode(data: bytes) -> VassalRecord:
        try:
            record = records.decode(data)
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            raise Stale(str(error)) from error
        for process in (record.lead, record.second):
            if process:
                _known(runtimes, process.ref.runtime)
        _complete(record)
        return record

    return decode


def _complete(record: VassalRecord) -> None:
    """Add what earlier versions kept in words alone."""
    if record.last_error and record.last_error.startswith(_LIMITS):
        record.last_error_is_limit = True
    for process in (record.lead, record.second):
        if process:
            process.boot.cause = with_kind(process.boot.cause)
            ref = process.ref
            if ref.method is None and ref.way:
                is_forked = ref.way.startswith("forked from a base")
                ref.method = StartMethod.FORK if is_forked else StartMethod.EXEC
    if record.last_boot:
        record.last_boot.cause = with_kind(record.last_boot.cause)
    if record.queued_for:
        record.queued_for = with_kind(record.queued_for)
    if pending := record.pending_event:
        record.pending_event = PendingEvent(pending.event, with_kind(pending.cause))


def _known(runtimes: Mapping[str, type[RuntimeOptions]], name: str) -> type[RuntimeOptions]:
    if name not in runtimes:
        raise Stale(f"there is no runtime {name!r}")
    return runtimes[name]
