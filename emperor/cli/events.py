"""`emperorctl events`: what happens to all vassals, a line each, as it happens."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.client import connect
from emperor.cli.console import show, terminal
from emperor.cli.failure import Unreachable
from emperor.cli.records import parse
from emperor.cli.table import STYLE
from emperor.cli.text import clock, one_line
from emperor.model.status import TransitionEvent


def line(event: TransitionEvent) -> Text:
    """One transition, free of control characters."""
    after = (event.after.value, STYLE[event.after]) if event.after else "gone"
    text = Text.assemble(
        (clock(event.at), "dim"),
        f" {one_line(event.name)}: {event.before.value} → ",
        after,
        f", {event.event.value}",
    )
    return text.append(f": {one_line(event.detail)}" if event.detail else "")


def missed(before: int | None, seq: int) -> list[Text]:
    """A line where events are missing between the number before and this one."""
    if before is None or seq == before + 1:
        return []
    return [Text(f"({seq - before - 1} events lost: emperorctl did not keep up)", style="yellow")]


@click.command()
@click.option(
    "-n", "--past", type=click.IntRange(min=0), default=100, show_default=True, metavar="N",
    help="Begin with the last N events; emperord remembers about a hundred.",
)  # fmt: skip
@click.option("--json", "raw", is_flag=True, help="The control API's JSON, one object a line.")
@click.pass_obj
def events(run_dir: Path, past: int, raw: bool) -> None:
    """Print each change of state of each vassal, until Ctrl-C or the end of emperord."""
    asyncio.run(_events(run_dir, past, raw))


async def _events(run_dir: Path, past: int, raw: bool) -> None:
    console = terminal()
    async with connect(run_dir) as client, aclosing(client.events(past)) as events:
        seq = None
        async for received in events:
            if raw:
                click.echo(received, nl=False)
                continue
            event = parse(TransitionEvent, received)
            show(console, [*missed(seq, event.seq), line(event)])
            seq = event.seq
    raise Unreachable("emperord has ended, and its events with it")
