"""Shows the vassals of every backend while `make run` runs: live tables in a terminal, otherwise
a line for each event."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime

from rich.live import Live
from rich.text import Text

from docs.examples.layout import Backend
from emperor.cli.client import Client, connect
from emperor.cli.events import line
from emperor.cli.failure import Failed
from emperor.cli.records import parse
from emperor.cli.status import REFRESH_SECONDS, Room, page
from emperor.cli.terminal import show, terminal
from emperor.model.status import Report, TransitionEvent

PAST_EVENTS = 100


async def watch(backends: Sequence[Backend], below: int) -> None:
    """Show the vassals, `below` so many lines of text. Returns when every emperord has ended."""
    if sys.stdout.isatty():
        await _show_tables(backends, below)
    else:
        await _show_events(backends)


async def _show_events(backends: Sequence[Backend]) -> None:
    async with asyncio.TaskGroup() as group:
        for backend in backends:
            group.create_task(_show_events_of(backend))


async def _show_events_of(backend: Backend) -> None:
    console = terminal()
    try:
        async with (
            connect(backend.run_dir) as client,
            aclosing(client.events(PAST_EVENTS)) as events,
        ):
            async for event in events:
                text = line(parse(TransitionEvent, event)).append(f" ({backend.address})")
                show(console, [text])
    except Failed as error:
        print(error)


async def _show_tables(backends: Sequence[Backend], below: int) -> None:
    """Show the tables of `emperorctl status --watch`, one for each backend, below the text that was
    printed before; --watch itself would hide that text."""
    console = terminal()
    async with AsyncExitStack() as stack:
        clients = {
            backend: await stack.enter_async_context(connect(backend.run_dir))
            for backend in backends
        }
        with Live(console=console, auto_refresh=False) as live:
            reports = await _get_reports(clients)
            while any(isinstance(report, Report) for report in reports.values()):
                lines = tables(reports, console.width, console.height - below)
                live.update(Text("\n").join(lines), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)
                reports = await _get_reports(clients)


def tables(reports: Mapping[Backend, Report | Failed], width: int, height: int) -> list[Text]:
    """What `emperorctl status` shows of each backend, in `height` lines where that is possible. The
    cursor needs one of them."""
    each = (height - 1) // len(reports) - 1
    lines = []
    for backend, report in reports.items():
        lines += [_heading(backend), *_table(report, width, each)]
    return lines


async def _get_reports(clients: dict[Backend, Client]) -> dict[Backend, Report | Failed]:
    return {backend: await _report(client) for backend, client in clients.items()}


async def _report(client: Client) -> Report | Failed:
    try:
        return parse(Report, await client.status())
    except Failed as error:
        return error


def _heading(backend: Backend) -> Text:
    heading = Text(f"Backend {backend.address}", style="bold")
    if not backend.has_nginx:
        heading.append(": nginx is stopped", style="bold red")
    return heading


def _table(report: Report | Failed, width: int, height: int) -> list[Text]:
    if isinstance(report, Failed):
        return [Text(str(report))]
    now = datetime.now(UTC)
    lines = page(report, now, Room(width))
    if len(lines) <= height:
        return lines
    # Without the line about the daemon, and the blank line below it.
    begin = [line.plain for line in lines].index("") + 1
    return page(report, now, Room(width, height + begin))[begin:]
