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
from emperor.cli.failure import Failed
from emperor.cli.history_lines import history_lines
from emperor.cli.names import tell
from emperor.cli.table import STYLE
from emperor.cli.terminal import edge, show, terminal, wrapped
from emperor.model.status import VassalDetail, as_json
from emperor.model.text import plain
from emperor.model.vassal_text import facts


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
    """Show who woke DOMAIN, how long each phase of its start took, which imports made that slow,
    why it stopped last, and when it will be put to sleep; after a failure, also the cause and the
    end of its log."""
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
        show(console, history_lines(history, edge(console)))
