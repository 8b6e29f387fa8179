"""What the daemon tells of itself: the records behind `emperorctl status`, `why` and `events`.

Field names are the contract of the control API. docs/api.md takes the text below a field or a
member as its meaning. `as_json` writes the records out: times as RFC 3339 in UTC, and null for what
does not apply.
"""

from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from emperor.model.lifecycle import Event, State
from emperor.model.refusal import RefusalReason
from emperor.model.registry_status import MembershipStatus, RegistryStatus
from emperor.model.slow_imports import SlowImport
from emperor.model.spec import Activation


class ReportedState(Enum):
    """What a vassal does."""

    PARKED = "parked"
    """it sleeps: a listening socket, and no process that could accept"""
    STARTING = "starting"
    """its process boots, or waits for its turn to boot"""
    RUNNING = "running"
    """its process accepts requests"""
    RELOADING = "reloading"
    """its process accepts requests, and a successor boots or waits for its turn"""
    STOPPING = "stopping"
    """its process finishes its requests and ends"""
    THROTTLED = "throttled"
    """it failed, and is started again at `retry_at` at the earliest"""
    NAPPING = "napping"
    """reserved for a later version; no vassal has this state yet"""


def reported(state: State) -> ReportedState:
    """A state as the API tells it: a vassal whose ini is gone is stopping until it is gone too."""
    return ReportedState.STOPPING if state is State.REMOVED else ReportedState(state.value)


@dataclass(frozen=True, slots=True)
class EmperorStatus:
    """The daemon itself."""

    pid: int
    """process id"""
    version: str
    """version of emperord"""
    instance_id: str
    """random; another after each start, restart and upgrade of the daemon"""
    started_at: datetime
    """when the daemon started, or took over from the version before it"""
    activation: Activation
    """the setting `activation`, which holds for each vassal that sets no other"""
    draining_since: datetime | None
    """since when load balancers are told to go elsewhere; null: they are not"""
    held: int
    """requests that the daemon holds now, because their app does not accept yet"""
    turned_away: int
    """requests answered 503 since the daemon started, because too many were held"""
    registry: RegistryStatus | None = None
    """the registry of the fleet; null: there is none, or the caller is no administrator"""
    membership: MembershipStatus | None = None
    """the registration with the fleet; null: there is none, or the caller is no administrator"""
    yielding: tuple[str, ...] = ()
    """users whose apps take all of the CPU now, and so yield it to others (`cpu-yield`); a tenant
    is told of itself alone"""


@dataclass(frozen=True, slots=True)
class VassalStatus:
    """One vassal, as in a row of `emperorctl status`."""

    name: str
    """its domain"""
    state: ReportedState
    """what it does now"""
    state_since: datetime
    """when it got into this state"""
    pid: int | None
    """process id of its uWSGI master; null: no process leads"""
    socket: str
    """path of its socket"""
    idle_seconds: int
    """after how long without a request it is put to sleep; 0: never"""
    last_hit_at: datetime | None
    """when it was last used; null: not yet"""
    reap_at: datetime | None
    """when it is put to sleep if nobody uses it; null: it does not run, or never sleeps"""
    starts: int
    """processes started since it was admitted"""
    consecutive_failures: int
    """starts that failed in a row; 0 again when the app has served for a while"""
    retry_at: datetime | None
    """when a throttled vassal may be started again; null: it may be started now"""
    last_error: str | None
    """what went wrong last, or what is wrong with its ini; null: nothing"""
    rss_bytes: int | None
    """resident memory of its processes; null: it has none"""
    cpu_seconds: float | None
    """CPU time of its processes; null: it has none"""
    held: int
    """requests for it that the daemon holds now"""
    queued: int | None
    """connections in the queue of its socket; null: not measured, since it has no process"""
    boot_position: int | None
    """its place in the queue of apps that wait to boot, 1 is next; null: it does not wait"""
    maintenance_since: datetime | None
    """since when visitors get 503 and nothing starts it (`emperorctl maintenance`); null: it is not
    in maintenance"""
    uid: int | None = None
    """the user that it runs as, who may use this API for it; null: that of emperord"""
    memory_peak_bytes: int | None = None
    """the most memory that its process and all that this started have held at once, as `memory-max`
    counts it: with files in the page cache, without what it shares with the base that it was forked
    from. Without a control group, the most that each of its processes has had resident, added
    together. null: it has no process"""
    runs_elsewhere: str | None = None
    """why it may not run on this machine of a fleet (`once`): for people; null: it may"""
    registry_serial: int | None = None
    """serial of its ini in the registry; null: the ini did not come from there"""


@dataclass(frozen=True, slots=True)
class Refused:
    """An ini that is not served."""

    file: str
    """name of the file in the folder of vassals"""
    domain: str
    """the same without `.ini`; not a valid host name if the reason is `bad-name`"""
    reason: RefusalReason
    """what kind of problem it is"""
    error: str
    """a sentence with the cause and the cure"""


@dataclass(frozen=True, slots=True)
class Wake:
    """Why a process was started, and when it reached each phase."""

    by: str
    """`hit`, `connection`, `emperorctl start`, `its ini changed` and the like; for people"""
    client: str | None
    """address of the visitor; null: no hit, or nginx did not tell"""
    request_id: str | None
    """nginx's id of the request; null: no hit, or nginx did not tell"""
    method: str | None
    """method of the request; null: no hit, or nginx did not tell"""
    path: str | None
    """path of the request without its query; null: no hit, or nginx did not tell"""
    agent: str | None
    """user agent of the visitor; null: no hit, or nginx did not tell"""
    at: datetime
    """when the app was wanted"""
    spawned_ms: float | None
    """milliseconds from `at` until the process was started; null: not yet"""
    loaded_ms: float | None
    """milliseconds from `at` until the app was loaded; null: not yet"""
    accepting_ms: float | None
    """milliseconds from `at` until the app accepted connections; null: not yet"""
    first_reply_ms: float | None
    """milliseconds from `at` until the app gave its first reply; null: not yet"""
    drained_ms: float | None = None
    """milliseconds from `at` until the old process had ended; null: none had to end first, or not
    yet"""
    turn_ms: float | None = None
    """milliseconds from `at` until its turn to boot came; null: it had not to wait, or not yet"""
    traceparent: str | None = None
    """`traceparent` of the request, by W3C Trace Context; null: no hit, or it had none"""


@dataclass(frozen=True, slots=True)
class Stop:
    """When and why a vassal stopped, in order or not."""

    at: datetime
    """when it stopped, or was asked to"""
    reason: str
    """`idle`, `emperorctl sleep`, how its process died, and the like; for people"""


@dataclass(frozen=True, slots=True)
class AppHits:
    """A limit that the processes of one app have reached."""

    limit: str
    """as in [LimitHits](#limithits)"""
    hits: int
    """how often since the daemon started: processes that were killed, or forks that were refused"""
    last_at: datetime
    """when emperord saw the last one, which may be a minute later"""


@dataclass(frozen=True, slots=True)
class VassalDetail:
    """One vassal with its history, as in `emperorctl why`."""

    status: VassalStatus
    """the same as in the list of vassals"""
    ini: str
    """path of its ini"""
    activation: Activation
    """what wakes it"""
    aliases: tuple[str, ...]
    """its further host names"""
    predecessor_pid: int | None
    """process id of an old process that still finishes its requests; null: there is none"""
    ini_error: str | None
    """what is wrong with its ini, while the version before serves on; null: nothing"""
    wake: Wake | None
    """its last start; null: none yet"""
    last_stop: Stop | None
    """its last stop; null: none yet"""
    log: str
    """path of its log"""
    log_tail: tuple[str, ...]
    """the last lines of its log, if it has a `last_error`"""
    ini_written_at: datetime | None = None
    """when the version of the ini was written that is in effect; null: emperord does not know"""
    newer_ini_written_at: datetime | None = None
    """when the version was written that waits for the end of a process or boots; null: none does"""
    failed_ini_written_at: datetime | None = None
    """when the newest version was written, if it did not start and the last one that did is in
    effect again; null: otherwise"""
    places_taken: int | None = None
    """places to boot that apps of its user have now; null: it waits for none, or there is no
    limit"""
    places: int | None = None
    """places to boot for the apps of its user: `max-starting`, or one less where other users have
    apps; null: as for `places_taken`"""
    started: str | None = None
    """`forked from a base`, or `by exec` with the reason why not, as an option of the ini; null: it
    does not run, or an earlier version of emperord started it"""
    not_followed: str | None = None
    """why its ini is not as the registry has it; null: it is, or it did not come from there"""
    limit_hits: tuple[AppHits, ...] = ()
    """every limit that its own processes have reached; emperord keeps the thousand apps that have
    reached one last"""
    slow_imports: tuple[SlowImport, ...] = ()
    """what took the time at its last start that was measured, the slowest first; emperord measures
    the starts that follow a slow or failed one"""


@dataclass(frozen=True, slots=True)
class LimitHits:
    """A limit that the apps of a tenant have reached."""

    tenant: str
    """name of the user that the apps run as, or its number where it has no name"""
    limit: str
    """name of the setting, as `memory-max`, `tenant-pids-max`, `log-max-size` or `max-held`;
    `memory` or `processes`: the machine, or a control group around all apps, had no more"""
    hits: int
    """how often since the daemon started: processes or apps that were killed, forks that were
    refused, or requests that were turned away"""
    apps: tuple[str, ...] = ()
    """domains whose processes have reached it, at most ten, the latest first; empty where the
    kernel or emperord does not count for each app"""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole daemon."""

    emperor: EmperorStatus
    """the daemon itself"""
    vassals: tuple[VassalStatus, ...]
    """every vassal, by name"""
    refused: tuple[Refused, ...]
    """every ini that is not served, by name"""
    limit_hits: tuple[LimitHits, ...] = ()
    """every limit that a tenant has reached"""


class Level(Enum):
    """How much an event matters."""

    INFO = "info"
    """all is as it should be"""
    WARNING = "warning"
    """an administrator should look at it"""


@dataclass(frozen=True, slots=True)
class TransitionEvent:
    """A transition of a vassal: one line of `emperorctl events`."""

    seq: int
    """number of the event; it begins with 1 and grows by one with each event of an `instance_id`"""
    at: datetime
    """when it happened"""
    name: str
    """domain of the vassal"""
    event: Event
    """what happened"""
    before: ReportedState
    """its state before"""
    after: ReportedState | None
    """its state from then on; null: the vassal is gone"""
    start_seconds: float | None
    """seconds from the demand until the app accepted; null: the event is not `accepting`"""
    detail: str
    """the cause, and what more there is to say; for people"""
    level: Level = Level.INFO
    """how much it matters"""
    pid: int | None = None
    """pid of the process that the event is about, or else of the lead; null: there is none"""
    uid: int | None = None
    """the user that the vassal ran as; null: that of emperord"""
    client: str | None = None
    """address of the visitor; null: the event is no `demand` by a hit, or nginx did not tell"""
    request_id: str | None = None
    """nginx's id of that request; null: as for `client`"""
    method: str | None = None
    """method of that request; null: as for `client`"""
    path: str | None = None
    """path of that request without its query; null: as for `client`"""
    agent: str | None = None
    """user agent of the visitor; null: as for `client`"""
    traceparent: str | None = None
    """`traceparent` of that request, by W3C Trace Context; null: as for `client`, or it had none"""


@dataclass(frozen=True, slots=True)
class UpgradeAccepted:
    """The answer to an upgrade that is about to happen."""

    instance_id: str
    """the instance that ends now; another one answers next"""


@dataclass(frozen=True, slots=True)
class SettingInEffect:
    """One setting of the daemon."""

    key: str
    """its name in the settings file"""
    value: str
    """its value, as the settings file spells it; empty where it has none"""


@dataclass(frozen=True, slots=True)
class SettingsInEffect:
    """The settings that the daemon has read, from its file and its command line."""

    settings: tuple[SettingInEffect, ...]
    """every setting"""


def as_json(value: Any) -> Any:
    """Plain JSON types for a record of this module, nested ones too."""
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.value if isinstance(value, Enum) else value
