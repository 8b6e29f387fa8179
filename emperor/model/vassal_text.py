"""One vassal in words: what `emperorctl why` and the console tell of it."""

from dataclasses import dataclass
from datetime import datetime

from emperor.model.policy import SETTLED_SECONDS
from emperor.model.slow_imports import told
from emperor.model.status import ReportedState, Stop, VassalDetail, VassalStatus, Wake
from emperor.model.text import clock, cpu, duration, memory, one_line, since, until
from emperor.model.wake_text import WOKEN_BY, phases, who


def facts(detail: VassalDetail, now: datetime) -> list[tuple[str, str]]:
    """Label and text of each fact that applies, free of control characters."""
    status = detail.status
    rows = [
        ("state", f"{status.state.value} for {since(status.state_since, now)}{_process(detail)}"),
        ("", f"it may not run here: {status.runs_elsewhere}" if status.runs_elsewhere else ""),
        ("memory", _memory(status)),
        ("closed", _closed(status, now)),
        (_label_of_start(detail.wake), _woken(detail.wake, now)),
        ("took", phases(detail.wake)),
        ("imports", told(detail.slow_imports)),
        ("process", detail.started or ""),
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
        text += f", number {status.boot_position} in the queue of starts (max-starting)"
        if detail.places is not None:
            text += f": apps of its user have {detail.places_taken} of {detail.places} places"
    if status.rss_bytes is not None:
        text += f", {cpu(status.cpu_seconds)} of CPU time"
    if detail.predecessor_pid is not None:
        text += f"; its predecessor, pid {detail.predecessor_pid}, finishes its requests"
    return text


def _memory(status: VassalStatus) -> str:
    """What is resident, and the most that a limit has counted, which may be less: each says what it
    is."""
    parts = []
    if status.rss_bytes is not None:
        parts.append(f"{memory(status.rss_bytes)} resident, shared pages counted in each process")
    if status.memory_peak_bytes is not None:
        peak = memory(status.memory_peak_bytes)
        parts.append(f"at most {peak} as memory-max counts it, without its base")
    return "; ".join(parts)


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
        return text + "starts beside it"
    pid = detail.predecessor_pid or detail.status.pid
    return text + f"waits until pid {pid} has finished its requests"


def _ini_error(detail: VassalDetail) -> str:
    """What is wrong with the newest version of the ini."""
    if detail.ini_error is None or detail.failed_ini_written_at is not None:
        return detail.ini_error or ""
    return f"{detail.ini_error}; the version before it is in service"


def _label_of_start(wake: Wake | None) -> str:
    """Only visitors wake an app; an order or a change starts it."""
    return "woken" if wake is None or wake.by in WOKEN_BY else "started"


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
    number = status.consecutive_failures
    row = " in a row" if number > 1 else ""
    text = (
        f"{_times(number)}{row}, counted anew after an order to start it, a change of its ini, or"
        f" {duration(SETTLED_SECONDS)} of service; started {_times(status.starts)} in all"
    )
    if (again := next_start(status)) is None:
        return text
    return f"{text}; {again.told(now)}, emperorctl start at once"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


@dataclass(frozen=True, slots=True)
class NextStart:
    """Who starts an app again that has failed, in words around the time that is left until `at`.
    None: all of the text is `before`."""

    before: str
    at: datetime | None = None
    after: str = ""

    def told(self, now: datetime) -> str:
        """The whole sentence."""
        return f"{self.before}{until(self.at, now) if self.at else ''}{self.after}"


def next_start(status: VassalStatus) -> NextStart | None:
    """Who starts the app again; None where its last start has not failed, or nobody does. The end
    of a throttle starts an app that runs always; for any other it only lets visitors do so."""
    if not status.consecutive_failures or status.maintenance_since is not None:
        return None
    if status.retry_at is not None and not status.idle_seconds:
        return NextStart("it starts again in ", status.retry_at)
    if status.retry_at is not None:
        return NextStart("the next visitor after ", status.retry_at, " starts it again")
    if status.state is ReportedState.PARKED:
        return NextStart("the next visitor starts it again")
    return None
