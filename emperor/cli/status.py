"""`emperorctl status`: every vassal in a row, and below the table what needs an administrator.

`page` is pure. The command asks the daemon, prints the page, and with --watch does so again.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.live import Live
from rich.text import Text

from emperor.cli import text
from emperor.cli.arguments import domains_argument
from emperor.cli.client import connect
from emperor.cli.console import show, terminal
from emperor.cli.failure import NoSuchVassal
from emperor.cli.records import parse
from emperor.cli.table import STYLE, rows, table
from emperor.model.status import Report, VassalStatus, as_json

REFRESH_SECONDS = 1.0

HINT = """\
There is no vassal yet. Drop an ini, named after its domain, into the folder of vassals
(/etc/uwsgi/vassals, unless set otherwise), and it is served from then on:

    mv www.example.com.ini /etc/uwsgi/vassals/
"""


def headline(report: Report, now: datetime) -> Text:
    """The daemon in a line, and how many vassals are in which state."""
    emperor = report.emperor
    counts = Counter(vassal.state for vassal in report.vassals)
    states = ", ".join(f"{counts[state]} {state.value}" for state in STYLE if counts[state])
    held = f", {emperor.held} requests held" if emperor.held else ""
    away = f", {emperor.turned_away} turned away" if emperor.turned_away else ""
    return Text(
        f"emperord {text.plain(emperor.version)}, pid {emperor.pid},"
        f" up {text.since(emperor.started_at, now)}: {states or 'no vassals'}{held}{away}"
    )


def drained(report: Report, now: datetime) -> list[Text]:
    """A line while load balancers are sent elsewhere, so that nobody forgets it."""
    since = report.emperor.draining_since
    if since is None:
        return []
    return [
        Text.assemble(
            ("draining", "bold yellow"),
            f" for {text.since(since, now)}: load balancers are sent elsewhere until"
            " emperorctl undrain",
        )
    ]


def troubles(report: Report, now: datetime) -> list[Text]:
    """A line for each vassal with an error, and for each ini that is not served."""
    failing = [
        Text.assemble(
            (text.plain(vassal.name), "bold"), _retry(vassal, now), f": {text.one_line(error)}"
        )
        for vassal in report.vassals
        if (error := vassal.last_error) is not None
    ]
    refused = [
        Text.assemble(
            ("not served", "bold"), f": {text.one_line(text.naming(ini.file, ini.error))}"
        )
        for ini in report.refused
    ]
    return failing + refused


def _retry(vassal: VassalStatus, now: datetime) -> str:
    if vassal.retry_at is None:
        return ""
    return f" (tried again in {text.until(vassal.retry_at, now)})"


def page(report: Report, now: datetime, width: int, height: int = sys.maxsize) -> list[Text]:
    """All that `emperorctl status` prints, in at most `height` lines of at most `width` cells.
    Without a limit to the height an error is as long as it is: its cure stands at its end."""
    lines = [headline(report, now), *drained(report, now), Text()]
    if not report.vassals and not report.refused:
        return [*lines, *map(Text, HINT.splitlines())]
    wrong = _bounded(troubles(report, now), height // 3)
    room = max(2, height - len(lines) - len(wrong) - bool(wrong))
    if report.vassals:
        # Beyond what fits, rows need not be made: there may be 10,000 of them, each second.
        shown = table(rows(replace(report, vassals=report.vassals[:room]), now), width)
        lines += _bounded(shown, room, hidden=len(report.vassals) + 1 - len(shown))
    if wrong:
        lines += [Text(), *wrong]
    for line in lines if height < sys.maxsize else lines[: len(lines) - len(wrong)]:
        line.truncate(width, overflow="ellipsis")
    return lines


def _bounded(lines: list[Text], limit: int, hidden: int = 0) -> list[Text]:
    if len(lines) + bool(hidden) <= limit:
        return lines
    kept = lines[: max(0, limit - 1)]
    return [*kept, Text(f"… and {len(lines) - len(kept) + hidden} more", style="dim")]


def awake_first(report: Report) -> Report:
    """The report, with the vassals that need watching on top."""
    order = {state: place for place, state in enumerate(STYLE)}
    ordered = sorted(report.vassals, key=lambda vassal: (order[vassal.state], vassal.name))
    return replace(report, vassals=tuple(ordered))


def only(report: Report, domains: Sequence[str]) -> Report:
    """The part of the report about `domains`; all of it if there are none."""
    if not domains:
        return report
    return replace(
        report,
        vassals=tuple(vassal for vassal in report.vassals if vassal.name in domains),
        refused=tuple(ini for ini in report.refused if ini.domain in domains),
    )


@click.command()
@domains_argument(required=False)
@click.option("--json", "raw", is_flag=True, help="The control API's JSON, with nothing cut short.")
@click.option("--watch", is_flag=True, help="Refresh each second; sleeping vassals stand last.")
@click.pass_obj
def status(run_dir: Path, domains: tuple[str, ...], raw: bool, watch: bool) -> None:
    """Show what every vassal does, or each DOMAIN alone.

    \b
    STATE   what it does; starting #3: the third in the queue of apps to boot
    FOR     time since it got into this state
    HIT     time since it was last used
    REAP    time until it is put to sleep if nobody uses it
    STARTS  processes started for it
    FAILS   starts that failed in a row
    MEM     resident memory of its processes
    CPU     CPU time of its processes
    WAIT    requests held by emperord + connections queued on its socket

    Below the table: the last error of a vassal, and every ini that is not served.
    """
    if not watch:
        asyncio.run(_print(run_dir, domains, raw))
    elif raw or not terminal().is_terminal:
        raise click.UsageError("--watch needs a terminal, and no --json")
    else:
        asyncio.run(_watch(run_dir, domains))


async def _print(run_dir: Path, domains: tuple[str, ...], raw: bool) -> None:
    async with connect(run_dir) as client:
        answer = await client.status()
    report = parse(Report, answer)
    found = only(report, domains)
    if raw:
        click.echo(json.dumps(as_json(found)) if domains else answer)
    elif found.vassals or found.refused or not domains:
        console = terminal()
        # What reads a pipe, grep say, has no edge to be cut at.
        width = console.width if console.is_terminal else sys.maxsize
        show(console, page(found, datetime.now(UTC), width))
    _insist(found, domains)


def _insist(found: Report, domains: tuple[str, ...]) -> None:
    names = {vassal.name for vassal in found.vassals} | {ini.domain for ini in found.refused}
    if missing := [
        NoSuchVassal(f"no such vassal: {name}") for name in domains if name not in names
    ]:
        raise ExceptionGroup("not every vassal is there", missing)


async def _watch(run_dir: Path, domains: tuple[str, ...]) -> None:
    console = terminal()
    async with connect(run_dir) as client:
        found = only(parse(Report, await client.status()), domains)
        _insist(found, domains)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                now = datetime.now(UTC)
                lines = page(awake_first(found), now, console.width, console.height)
                live.update(Text("\n").join(lines), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)
                found = only(parse(Report, await client.status()), domains)
