"""What `make run` shows: the vassals of every backend in tables that move, or without a terminal
their events."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime

from rich.live import Live
from rich.text import Text

from docs.examples.layout import Backend
from emperor.cli.client import Client, connect
from emperor.cli.console import show, terminal
from emperor.cli.events import line
from emperor.cli.failure import Failed
from emperor.cli.records import parse
from emperor.cli.status import REFRESH_SECONDS, page
from emperor.model.status import Report, TransitionEvent

PAST_EVENTS = 100


async def watch(backends: Sequence[Backend]) -> None:
    """Show what happens. Returns when no emperord is left that could tell."""
    if sys.stdout.isatty():
        await _show_tables(backends)
    else:
        await _show_events(backends)


async def _show_events(backends: Sequence[Backend]) -> None:
    async with asyncio.TaskGroup() as group:
        for backend in backends:
            group.create_task(_show_events_of(backend))


async def _show_events_of(backend: Backend) -> None:
    console = terminal()
    try:
        async with connect(backend.run_dir) as client, aclosing(client.events(PAST_EVENTS)) as told:
            async for happening in told:
                show(
                    console,
                    [line(parse(TransitionEvent, happening)).append(f" ({backend.address})")],
                )
    except Failed as error:
        print(error)


async def _show_tables(backends: Sequence[Backend]) -> None:
    """`emperorctl status --watch` of each, but below what was printed, which it would hide."""
    console = terminal()
    height = console.height // len(backends) - 2
    async with AsyncExitStack() as stack:
        clients = {
            backend: await stack.enter_async_context(connect(backend.run_dir))
            for backend in backends
        }
        with Live(console=console, auto_refresh=False) as live:
            reports = await _ask(clients)
            while any(isinstance(report, Report) for report in reports.values()):
                lines = []
                for backend, report in reports.items():
                    lines += [_heading(backend), *_table(report, console.width, height), Text()]
                live.update(Text("\n").join(lines[:-1]), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)
                reports = await _ask(clients)


async def _ask(clients: dict[Backend, Client]) -> dict[Backend, Report | Failed]:
    return {backend: await _report(client) for backend, client in clients.items()}


async def _report(client: Client) -> Report | Failed:
    try:
        return parse(Report, await client.status())
    except Failed as error:
        return error


def _heading(backend: Backend) -> Text:
    heading = Text(f"Backend {backend.address}", style="bold")
    if not backend.has_nginx:
        heading.append(", whose nginx is stopped", style="bold red")
    return heading


def _table(report: Report | Failed, width: int, height: int) -> list[Text]:
    if isinstance(report, Failed):
        return [Text(str(report))]
    return page(report, datetime.now(UTC), width, height)
