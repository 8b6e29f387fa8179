"""`emperorctl stats`: vassals in numbers, and what happened in each hour or on each day."""

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import click
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from emperor.cli.arguments import as_host, complete_domain, since
from emperor.cli.client import connect
from emperor.cli.failure import Failed
from emperor.cli.names import tell
from emperor.cli.terminal import edge, show, terminal
from emperor.model.history import Hour, Stats, VassalStats
from emperor.model.status import as_json
from emperor.model.text import NOTHING, clock, middle, milliseconds, plain

# Beyond this, a line is a day.
_BY_THE_HOUR = timedelta(days=2, hours=1)
_LONGEST_BAR = 40
_NAME_WIDTH = 50


class Row(NamedTuple):
    """One line of the table; the fields are its columns."""

    name: str
    starts: str
    wakes: str
    fails: str
    hits: str
    median: str
    slowest: str


HEADER = Row("NAME", "STARTS", "WAKES", "FAILS", "HITS", "MEDIAN", "SLOWEST")


def page(stats: Stats, now: datetime, width: int = sys.maxsize) -> list[Text]:
    """All that `emperorctl stats` prints. The vassals that have started most stand first."""
    kept = "" if stats.kept_since is None else f"; the history begins {clock(stats.kept_since)}"
    lines = [Text(f"since {clock(stats.since)}{kept}", style="dim"), Text()]
    if not stats.vassals:
        return [*lines, Text("Nothing has happened.")]
    vassals = sorted(stats.vassals, key=lambda each: (-each.starts, -each.failures, each.name))
    lines += _table([_row(vassal) for vassal in vassals], width)
    if stats.hours:
        lines += [Text(), *_plot(stats.hours, now - stats.since > _BY_THE_HOUR)]
    return lines


def _row(vassal: VassalStats) -> Row:
    return Row(
        plain(vassal.name),
        str(vassal.starts),
        str(vassal.wakes),
        str(vassal.failures),
        str(vassal.hits),
        _time(vassal.median_wake_ms),
        _time(vassal.slowest_wake_ms),
    )


def _time(number: float | None) -> str:
    return NOTHING if number is None else milliseconds(number)


def _table(rows: Sequence[Row], width: int) -> list[Text]:
    names, *others = zip(HEADER, *rows, strict=True)
    widths = [max(map(len, column)) for column in others]
    room = max(20, min(width - sum(widths) - 2 * len(widths), _NAME_WIDTH))
    name_width = min(max(map(cell_len, names)), room)
    lines = []
    for name, *cells in (HEADER, *rows):
        padded = [cell.rjust(size) for cell, size in zip(cells, widths, strict=True)]
        shown = set_cell_size(middle(name, name_width), name_width)
        lines.append(Text("  ".join([shown, *padded])))
    lines[0].stylize("bold")
    for line, row in zip(lines[1:], rows, strict=True):
        if row.fails != "0":
            line.stylize("red")
    return lines


def _plot(hours: Iterable[Hour], by_the_day: bool) -> list[Text]:
    """A line for each hour or day, with a bar as long as its starts."""
    spans: dict[str, Hour] = {}
    for hour in hours:
        name = clock(hour.at)[: 10 if by_the_day else 16]
        before = spans.get(name, replace(hour, hits=0, starts=0, failures=0))
        spans[name] = replace(
            before,
            hits=before.hits + hour.hits,
            starts=before.starts + hour.starts,
            failures=before.failures + hour.failures,
        )
    most = max([span.starts for span in spans.values()]) or 1
    title = "DAY" if by_the_day else "HOUR"
    lines = [Text(f"{title:16}    HITS  STARTS   FAILS", style="bold")]
    for name, span in spans.items():
        bar = "█" * -(-span.starts * _LONGEST_BAR // most)
        numbers = f"{span.hits:8}{span.starts:8}{span.failures:8}"
        lines.append(Text(f"{name:16}{numbers}  {bar}".rstrip(), "red" if span.failures else ""))
    return lines


@click.command()
@click.argument(
    "domain", metavar="[DOMAIN]", type=as_host, required=False, shell_complete=complete_domain
)
@click.option(
    "--since", "begin", metavar="TIME", callback=since, default="1d", show_default=True,
    help="From TIME on: 7d, which is a week ago, or '2026-03-01 12:00:00'.",
)  # fmt: skip
@click.option("--json", "raw", is_flag=True, help="The control API's JSON.")
@click.pass_obj
def stats(run_dir: Path, domain: str | None, begin: datetime, raw: bool) -> None:
    """Show all vassals in numbers, or DOMAIN alone, from the history that emperord keeps.

    \b
    STARTS   processes started for it
    WAKES    starts for a visitor: by a hit or a connection
    FAILS    starts that failed, and times that the app died
    HITS     requests that came to emperord, since the app did not accept
    MEDIAN   half of the wakes took less than this until the app accepted
    SLOWEST  the longest wake
    """
    asyncio.run(_stats(run_dir, domain, begin, raw))


async def _stats(run_dir: Path, domain: str | None, begin: datetime, raw: bool) -> None:
    async with connect(run_dir) as client:
        if domain is None:
            found = await client.stats(begin)
        else:
            found = await client.stats(begin, (domain,))
            if not found.vassals:
                detail = await client.host(domain)
                tell(domain, detail)
                found = await client.stats(begin, (detail.status.name,))
    if found.why_none is not None:
        raise Failed(f"there is no history: {found.why_none}")
    if raw:
        click.echo(json.dumps(as_json(found)))
    else:
        console = terminal()
        show(console, page(found, datetime.now(begin.tzinfo), edge(console)))
