"""`emperorctl why`: who woke one vassal, how long that took, and when it will sleep."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.arguments import domain_argument
from emperor.cli.client import connect
from emperor.cli.console import edge, show, terminal, wrapped
from emperor.cli.failure import Failed
from emperor.cli.names import tell
from emperor.cli.past import story_of_the_past
from emperor.cli.table import STYLE
from emperor.model.status import (
    ReportedState,
    Stop,
    VassalDetail,
    VassalStatus,
    Wake,
    as_json,
)
from emperor.model.text import clock, cpu, duration, memory, one_line, plain, since, until
from emperor.model.wake import phases, who


def facts(detail: VassalDetail, now: datetime) -> list[tuple[str, str]]:
    """Label and text of each fact that applies, free of control characters."""
    status = detail.status
    rows = [
        ("state", f"{status.state.value} for {since(status.state_since, now)}{_process(detail)}"),
        ("closed", _closed(status, now)),
        ("woken", _woken(detail.wake, now)),
        ("took", phases(detail.wake)),
        ("started", detail.started or ""),
        ("last hit", status.last_hit_at and f"{since(status.last_hit_at, now)} ago"),
        ("waiting", _waiting(status)),
        ("stopped", _stopped(detail.last_stop, now)),
        ("sleeps", _sleeps(status, now)),
        ("failed", _failed(status, now)),
        ("cause", "" if status.last_error == detail.ini_error else status.last_error),
        ("ini", f"{detail.ini}{_written(detail, now)}"),
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


def _written(detail: VassalDetail, now: datetime) -> str:
    """How old the version is that is in effect."""
    written = detail.ini_written_at
    return "" if written is None else f", as it was written {_ago(written, now)}"


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
    return f"{status.held} requests held, {status.queued or 0} connections queued"


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
    if status.retry_at is None:
        return text
    return f"{text}; throttled for {until(status.retry_at, now)}, emperorctl start pardons at once"


def story(detail: VassalDetail, now: datetime, width: int = sys.maxsize) -> list[Text]:
    """All that `emperorctl why` prints, in lines of at most `width` cells; a line of the log has as
    many as the app wrote."""
    rows = facts(detail, now)
    margin = max(len(label) for label, _ in rows) + 2
    lines = [Text(plain(detail.status.name), style="bold")]
    for label, text in rows:
        first, *others = wrapped(Text(text), width - 2 - margin, indent="")
        line = Text.assemble("  ", (label.ljust(margin), "dim"), first)
        if label == "state":
            state = detail.status.state
            line.stylize(STYLE[state], 2 + margin, 2 + margin + len(state.value))
        lines += [line, *(Text(" " * (2 + margin)).append_text(other) for other in others)]
    if detail.log_tail:
        lines += [Text(), Text("The end of its log:", style="bold")]
        lines += [Text(f"  {plain(line, keep=chr(9))}") for line in detail.log_tail]
    return lines


@click.command()
@domain_argument
@click.option("--history", "past", is_flag=True, help="Its starts and stops until now, as kept.")
@click.option("--json", "raw", is_flag=True, help="The control API's JSON.")
@click.pass_obj
def why(run_dir: Path, domain: str, past: bool, raw: bool) -> None:
    """Show who woke DOMAIN, how long each phase of its start took, why it stopped last, and when it
    will be put to sleep; after a failure, also the cause and the end of its log."""
    asyncio.run(_why_until_now(run_dir, domain, raw) if past else _why(run_dir, domain, raw))


async def _why(run_dir: Path, domain: str, raw: bool) -> None:
    async with connect(run_dir) as client:
        detail = await client.host(domain)
    if raw:
        click.echo(json.dumps(as_json(detail)))
    else:
        tell(domain, detail)
        console = terminal()
        show(console, story(detail, datetime.now(UTC), edge(console)))


async def _why_until_now(run_dir: Path, domain: str, raw: bool) -> None:
    async with connect(run_dir) as client:
        detail = await client.host(domain)
        history = await client.history(detail.status.name)
    if history.why_none is not None:
        raise Failed(f"there is no history: {history.why_none}")
    if raw:
        click.echo(json.dumps(as_json(history)))
    else:
        tell(domain, detail)
        console = terminal()
        show(console, story_of_the_past(history, edge(console)))
