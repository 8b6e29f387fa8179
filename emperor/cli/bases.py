"""`emperorctl bases`: the preloaded interpreters, and what they hold."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.client import connect
from emperor.cli.terminal import show, terminal
from emperor.model.bases_report import Base, BasesReport
from emperor.model.status import as_json
from emperor.model.text import memory, one_line, since


@click.command()
@click.option("--modules", is_flag=True, help="List the modules that each base holds.")
@click.option("--json", "as_record", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def bases(run_dir: Path, modules: bool, as_record: bool) -> None:
    """Show the preloaded interpreters (bases) that apps are forked from: their memory, how many
    apps were forked from each, and which modules it could not import.

    emperorctl why DOMAIN says whether an app was forked from a base, and why not.
    """
    report = asyncio.run(_ask(run_dir))
    if as_record:
        click.echo(as_json(report))
        return
    show(terminal(), [Text(line) for line in told(report, modules, datetime.now(UTC))])


async def _ask(run_dir: Path) -> BasesReport:
    async with connect(run_dir) as client:
        return await client.bases()


def told(report: BasesReport, modules: bool, now: datetime) -> Iterator[str]:
    """All that is printed, line by line."""
    if report.why_none:
        yield f"There are none: {one_line(report.why_none)}. All apps start by exec."
    elif not report.bases:
        yield "There is none at this moment. Apps start by exec until one is made."
    for base in report.bases:
        yield from _one(base, modules, now)
    for each in report.without_base:
        user = f" as {each.user}" if each.user else ""
        yield one_line(f"{each.home}{user}")
        yield f"  has no base: {one_line(each.why)}"
    if report.why_standard:
        yield f"No virtual environment has one: {one_line(report.why_standard)}."


def _one(base: Base, modules: bool, now: datetime) -> Iterator[str]:
    user = f" as {base.user}" if base.user else ""
    yield one_line(f"{base.home}{user}" if base.home else base.python)
    cost = "" if base.pss_bytes is None else f", {memory(base.pss_bytes)} with its spares"
    yield f"  pid {base.pid}, made {since(base.made_at, now)} ago{cost}"
    yield f"  {base.apps} apps were forked from it, {base.spares} spares wait"
    yield f"  {len(base.modules)} modules" + (":" if modules else "")
    if modules:
        yield from (f"    {one_line(module)}" for module in base.modules)
    for each in base.left_out:
        yield f"  without {one_line(each.module)}: {one_line(each.why)}"
