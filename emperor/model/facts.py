"""One vassal in words: what `emperorctl why` and the console tell of it."""

from dataclasses import dataclass
from datetime import datetime

from emperor.model.slow_imports import told
from emperor.model.status import ReportedState, Stop, VassalDetail, VassalStatus, Wake
from emperor.model.text import clock, cpu, duration, memory, one_line, since, until
from emperor.model.wake import phases, who


def facts(detail: VassalDetail, now: datetime) -> list[tuple[str, str]]:
    """Label and text of each fact that applies, free of control characters."""
    status = detail.status
    rows = [
        ("state", f"{status.state.value} for {since(status.state_since, now)}{_process(detail)}"),
        ("", f"it may not run here: {status.runs_elsewhere}" if status.runs_elsewhere else ""),
        ("memory", _peak(status)),
        ("closed", _closed(status, now)),
        ("woken", _woken(detail.wake, now)),
        ("took", phases(detail.wake)),
        ("imports", told(detail.slow_imports)),
        ("started", detail.started or ""),
        ("last hit", status.last_hit_at and f"{since(status.last_hit_at, now)} ago"),
        ("waiting", _waiting(status)),
        ("stopped", _stopped(detail.last_stop, now)),
        ("sleeps", _sleeps(status, now)),
        ("failed", _failed(status, now)),
        ("cause", "" if status.last_error == detail.ini_error else status.last_error),
        ("limits", _limits(detail, now)),
        ("ini", f"{detail.ini}{_source(status)}{_written(detail, now)}"),
        ("", detail.not_followed or ""),
        ("", _newer(detail, now)),
        ("", _ini_error(detail)),
        ("socket", f"{status.socket}, activation = {detail.activation.value}"),
        ("aliases", ", ".join(detail.aliases)),
        ("log", detail.log),
    ]
    return [(label, one_line(text)) for label, text in rows if text]


def _closed(status: VassalStatus, now: datetime) -> str:
    if status.maintenance_since is None:
        return ""
    return (
        f"in maintenance for {since(status.maintenance_since, now)} "
        f"({clock(status.maintenance_since)}): visitors get 503 until `emperorctl maintenance"
        f" {status.name} off`"
    )


def _ago(moment: datetime, now: datetime) -> str:
    return f"{since(moment, now)} ago ({clock(moment)})"


def _process(detail: VassalDetail) -> str:
    status = detail.status
    text = "" if status.pid is None else f", pid {status.pid}"
    if status.boot_position is not None:
        text += f", number {status.boot_position} in the queue of apps to boot (max-starting)"
        if detail.places is not None:
            text += f": apps of its user have {detail.places_taken} of {detail.places} places"
    if status.rss_bytes is not None:
        text += f", {memory(status.rss_bytes)} of memory, {cpu(status.cpu_seconds)} of CPU time"
    if detail.predecessor_pid is not None:
        text += f"; its predecessor, pid {detail.predecessor_pid}, finishes its requests"
    return text


def _peak(status: VassalStatus) -> str:
    """What of a limit on its memory it has used, which is no part of what is resident."""
    peak = status.memory_peak_bytes
    return "" if peak is None else f"{memory(peak)} at most, as memory-max counts it"


def _source(status: VassalStatus) -> str:
    serial = status.registry_serial
    return "" if serial is None else f", serial {serial} of the registry"


def _written(detail: VassalDetail, now: datetime) -> str:
    """How old the version is that is in effect."""
    written = detail.ini_written_at
    return "" if written is None else f", as it was written {_ago(written, now)}"


def _limits(detail: VassalDetail, now: datetime) -> str:
    """Which limits its own processes have reached."""
    reached = [
        f"{each.limit} reached {each.hits} times, last {_ago(each.last_at, now)}"
        if each.hits > 1
        else f"{each.limit} reached once, {_ago(each.last_at, now)}"
        for each in detail.limit_hits
    ]
    return "; ".join(reached)


def _newer(detail: VassalDetail, now: datetime) -> str:
    """What a newer version of the ini waits for."""
    if detail.newer_ini_written_at is None:
        return ""
    text = f"a newer version, written {_ago(detail.newer_ini_written_at, now)}, "
    if detail.status.state is ReportedState.RELOADING:
        return text + "boots beside it"
    pid = detail.predecessor_pid or detail.status.pid
    return text + f"waits until pid {pid} has finished its requests"


def _ini_error(detail: VassalDetail) -> str:
    """What is wrong with the newest version of the ini."""
    if detail.ini_error is None or detail.failed_ini_written_at is not None:
        return detail.ini_error or ""
    return f"{detail.ini_error}; the version before it is in service"


def _woken(wake: Wake | None, now: datetime) -> str:
    return f"{_ago(wake.at, now)}: {who(wake)}" if wake else "not since emperord started"


def _stopped(stop: Stop | None, now: datetime) -> str:
    return "" if stop is None else f"{_ago(stop.at, now)}: {stop.reason}"


def _waiting(status: VassalStatus) -> str:
    if not status.held and not status.queued:
        return ""
    return f"requests held: {status.held}, connections queued: {status.queued or 0}"


def _sleeps(status: VassalStatus, now: datetime) -> str:
    if status.state is ReportedState.STOPPING:
        return ""
    if not status.idle_seconds:
        return _sleeps_never(status)
    if status.reap_at is None:
        return f"after {duration(status.idle_seconds)} without a hit"
    left = until(status.reap_at, now)
    return f"in {left}, unless somebody uses it (idle = {status.idle_seconds})"


def _sleeps_never(status: VassalStatus) -> str:
    if status.maintenance_since is not None:
        return "until the end of the maintenance; then it runs always"
    if status.state in (ReportedState.PARKED, ReportedState.NAPPING):
        return "until the next hit or start, by an order or an eviction; then it runs always"
    return "never: it runs always"


def _failed(status: VassalStatus, now: datetime) -> str:
    if not status.consecutive_failures:
        return ""
    text = f"{status.consecutive_failures} in a row, of {status.starts} starts"
    if (again := start_again(status)) is None:
        return text
    return f"{text}; {again.told(now)}, emperorctl start at once"


@dataclass(frozen=True, slots=True)
class Again:
    """Who starts an app again that has failed, in words around the time that is left until `at`.
    None: all of the text is `before`."""

    before: str
    at: datetime | None = None
    after: str = ""

    def told(self, now: datetime) -> str:
        """The whole sentence."""
        return f"{self.before}{until(self.at, now) if self.at else ''}{self.after}"


def start_again(status: VassalStatus) -> Again | None:
    """Who starts the app again; None where its last start has not failed, or nobody does. The end
    of a throttle starts an app that runs always; for any other it only lets visitors do so."""
    if not status.consecutive_failures or status.maintenance_since is not None:
        return None
    if status.retry_at is not None and not status.idle_seconds:
        return Again("it starts again in ", status.retry_at)
    if status.retry_at is not None:
        return Again("the next visitor after ", status.retry_at, " starts it again")
    if status.state is ReportedState.PARKED:
        return Again("the next visitor starts it again")
    return None
