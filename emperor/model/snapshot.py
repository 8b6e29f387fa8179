"""What has to be known of a vassal to go on with it in another process, and its form as bytes.

FdBudget travel beside the bytes, in this order: the listener's, then for each child its end of
the pipe and, once it was spawned, its pidfd. Moments are CLOCK_MONOTONIC, which all processes of a
boot share.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import msgspec

from emperor.model.cause import Boot, Cause
from emperor.model.lifecycle import Event, Role, State
from emperor.model.spec import Spec, Stamp

# The format of everything that one daemon keeps for the next, DaemonRecord included. A new field
# with a default keeps this number. Any other change needs a new one.
FORMAT: Literal[1] = 1


class Stale(Exception):
    """Bytes that this version cannot read; the message says why."""


class Kind(Enum):
    """What a descriptor is."""

    SOCKET = "a socket"
    PIDFD = "a pidfd"


@dataclass(frozen=True, slots=True)
class ListenerMark:
    """What tells a bound socket from any other at its path, and when it was bound: its path's
    atime then, in nanoseconds."""

    inode: int
    device: int
    bound_at: int


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """Which process it is, and from which byte on its output stands in which log.

    `pid` is None while it is about to be spawned. Should the daemon die at that moment, it is known
    by the inode of its end of the pipe. `drains` are the pids of the workers that heard of it when
    it was asked to drain, None before.
    """

    pid: int | None
    pipe_inode: int
    log: str
    log_begins: int = 0
    drains: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ChildSnapshot:
    """A process in one of the two slots. Without a `spec` it has that of the vassal."""

    generation: int
    process: ProcessMark
    role: Role
    boot: Boot
    spec: Spec | None = None
    deadline: float | None = None
    kill_reason: str | None = None
    respawns: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One vassal. `listener` is None where it could not be bound again."""

    spec: Spec
    stamp: Stamp | None
    listener: ListenerMark | None
    state: State
    since: float
    lead: ChildSnapshot | None = None
    second: ChildSnapshot | None = None
    pending_event: tuple[Event, Cause] | None = None
    queued_for: Cause | None = None
    retry_at: float | None = None
    starts: int = 0
    consecutive_failures: int = 0
    last_error: str | None = None
    last_hit: float | None = None
    last_boot: Boot | None = None
    last_stop: tuple[float, str] | None = None
    format: Literal[1] = FORMAT

    @property
    def descriptors(self) -> tuple[Kind, ...]:
        """Which travel beside it, in their order."""
        kinds = [] if self.listener is None else [Kind.SOCKET]
        for child in (self.lead, self.second):
            if child:
                kinds += [Kind.SOCKET] if child.process.pid is None else [Kind.SOCKET, Kind.PIDFD]
        return tuple(kinds)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Snapshot] = msgspec.msgpack.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """The bytes of it."""
    return _ENCODER.encode(snapshot)


def decode(data: bytes) -> Snapshot:
    """The opposite of `encode`. Raises Stale for what another format, or nobody, wrote."""
    try:
        return _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise Stale(str(error)) from error
