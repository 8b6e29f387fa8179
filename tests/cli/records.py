"""Records of the control API made by hand, for what is computed from them alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from emperor.model.refusal import RefusalReason
from emperor.model.spec import Activation
from emperor.model.status import (
    EmperorStatus,
    Refused,
    Report,
    ReportedState,
    Stop,
    VassalDetail,
    VassalStatus,
    Wake,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
GOAT = "www.obeythetestinggoat.com"


def before(**ago: float) -> datetime:
    """A moment before NOW; takes the arguments of timedelta."""
    return NOW - timedelta(**ago)


def parked(name: str) -> VassalStatus:
    """A vassal that sleeps, and never ran."""
    return VassalStatus(
        name=name,
        state=ReportedState.PARKED,
        state_since=before(hours=5),
        pid=None,
        socket=f"/var/sockets/{name}/socket",
        idle_seconds=93600,
        last_hit_at=None,
        reap_at=None,
        starts=0,
        consecutive_failures=0,
        retry_at=None,
        last_error=None,
        rss_bytes=None,
        cpu_seconds=None,
        held=0,
        queued=None,
        boot_position=None,
        maintenance_since=None,
    )


def running(name: str) -> VassalStatus:
    """A vassal that serves."""
    return replace(
        parked(name),
        state=ReportedState.RUNNING,
        state_since=before(minutes=3, seconds=12),
        pid=4711,
        last_hit_at=before(seconds=12),
        reap_at=NOW + timedelta(hours=25, minutes=59),
        starts=3,
        rss_bytes=37 * 2**20,
        cpu_seconds=0.42,
        queued=0,
        memory_peak_bytes=52 * 2**20,
    )


def throttled(name: str) -> VassalStatus:
    """A vassal whose app cannot start."""
    return replace(
        parked(name),
        state=ReportedState.THROTTLED,
        state_since=before(seconds=4),
        starts=5,
        consecutive_failures=5,
        retry_at=NOW + timedelta(seconds=12),
        last_error="exit status 22: ModuleNotFoundError: No module named 'flask'",
    )


def detail(status: VassalStatus) -> VassalDetail:
    """A vassal with a history."""
    return VassalDetail(
        status=status,
        ini=f"/etc/uwsgi/vassals/{status.name}.ini",
        activation=Activation.FALLBACK,
        aliases=(),
        predecessor_pid=None,
        ini_error=None,
        wake=Wake(
            by="hit",
            client="203.0.113.9",
            request_id="7f3c0a",
            method="GET",
            path="/cart",
            agent="curl/8.0",
            at=before(minutes=3, seconds=12),
            spawned_ms=1.2,
            loaded_ms=154.0,
            accepting_ms=156.4,
            first_reply_ms=162.0,
        ),
        last_stop=Stop(at=before(hours=5), reason="idle"),
        log=f"/var/log/emperord/{status.name}.log",
        log_tail=(),
    )


def refused(domain: str, error: str) -> Refused:
    """An ini that is not served."""
    return Refused(f"{domain}.ini", domain, RefusalReason.BROKEN_INI, error)


EMPEROR = EmperorStatus(
    pid=815,
    version="0.1.0",
    instance_id="first",
    started_at=before(days=3),
    activation=Activation.FALLBACK,
    draining_since=None,
    held=0,
    turned_away=0,
)


def report(*vassals: VassalStatus, inis: tuple[Refused, ...] = ()) -> Report:
    """What `GET /v1/status` tells; `inis` are not served."""
    return Report(EMPEROR, vassals, inis)


def draining(status: Report, since: datetime | None) -> Report:
    """The report `status` of a machine that drains since then."""
    return replace(status, emperor=replace(status.emperor, draining_since=since))
