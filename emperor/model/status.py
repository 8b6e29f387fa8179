"""What the daemon tells of itself: the records behind `emperorctl status`, `why` and `events`.

Field names are the contract of the control API; `as_json` writes them out, times as RFC 3339 in
UTC, memory in bytes, and null for what does not apply.
"""

from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class EmperorStatus:
    """The daemon itself. `draining` is since when it tells the load balancers to go elsewhere,
    `held` the requests that it holds now, and `turned_away` those that were too many, ever."""

    pid: int
    version: str
    started_at: datetime
    activation: str
    draining: datetime | None
    held: int
    turned_away: int


@dataclass(frozen=True, slots=True)
class VassalStatus:
    """One row of `emperorctl status`. `idle` is the limit in seconds (0: never reaped), `pending`
    the requests that the daemon holds, `backlog` the connections queued on the listener. `turn` is
    the number in the line of those that wait to boot, 1 for the next."""

    name: str
    state: str
    since: datetime
    pid: int | None
    socket: str
    idle: int
    last_hit: datetime | None
    reap_at: datetime | None
    starts: int
    failures: int
    retry_at: datetime | None
    last_error: str | None
    rss: int | None
    cpu_seconds: float | None
    pending: int
    backlog: int | None
    turn: int | None


@dataclass(frozen=True, slots=True)
class Refused:
    """An ini that is not served, and why."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Why a process was started and how long each phase took, in milliseconds after the demand.

    `by` is "hit", "connection", "emperorctl start", "its ini changed" and the like; `client`,
    `request`, `method`, `path` and `agent` come with a hit.
    """

    by: str
    client: str | None
    request: str | None
    method: str | None
    path: str | None
    agent: str | None
    at: datetime
    spawned_ms: float | None
    loaded_ms: float | None
    accepting_ms: float | None
    first_reply_ms: float | None


@dataclass(frozen=True, slots=True)
class Sleep:
    """When and why a vassal last stopped."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class VassalDetail:
    """What `emperorctl why` shows. `ini_error` is set while an older spec is in service because
    the ini became broken; `log_tail` after a failure."""

    status: VassalStatus
    ini: str
    activation: str
    aliases: tuple[str, ...]
    predecessor_pid: int | None
    ini_error: str | None
    wake: Wake | None
    sleep: Sleep | None
    log: str
    log_tail: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The whole of `GET /v1/status`."""

    emperor: EmperorStatus
    vassals: tuple[VassalStatus, ...]
    refused: tuple[Refused, ...]


class Level(Enum):
    """How much an event matters: WARNING where an administrator should look."""

    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class TransitionEvent:
    """One line of `emperorctl events`: a transition of a vassal. `pid` is that of the process which
    leads after it, null where none does."""

    at: datetime
    name: str
    event: str
    before: str
    after: str
    detail: str
    level: Level = Level.INFO
    pid: int | None = None


def as_json(value: Any) -> Any:
    """Plain JSON types for a record of this module, nested ones too."""
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.value if isinstance(value, Enum) else value
