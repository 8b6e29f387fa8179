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


def line(happening: TransitionEvent) -> Text:
    """One transition, free of control characters."""
    after = one_line(happening.after)
    told = Text.assemble(
        (clock(happening.at), "dim"),
        f" {one_line(happening.name)}: {one_line(happening.before)} → ",
        (after, STYLE.get(after, "")),
        f", {one_line(happening.event)}",
    )
    return told.append(f": {one_line(happening.detail)}" if happening.detail else "")


@click.command()
@click.option(
    "-n", "--past", type=click.IntRange(min=0), default=100, show_default=True, metavar="N",
    help="Begin with the last N events; emperord remembers about a hundred.",
)  # fmt: skip
@click.option("--json", "raw", is_flag=True, help="The control API's JSON, one object a line.")
@click.pass_obj
def events(run_dir: Path, past: int, raw: bool) -> None:
    """Print what happens to all vassals, until Ctrl-C or the end of emperord."""
    asyncio.run(_events(run_dir, past, raw))


async def _events(run_dir: Path, past: int, raw: bool) -> None:
    console = terminal()
    async with connect(run_dir) as client, aclosing(client.events(past)) as events:
        async for happening in events:
            if raw:
                click.echo(happening, nl=False)
            else:
                show(console, [line(parse(TransitionEvent, happening))])
    raise Unreachable("emperord has ended, and its events with it")
