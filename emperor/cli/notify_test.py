"""`emperorctl notify-test`: whether notices reach somebody."""

import asyncio
from pathlib import Path

import click

from emperor.cli.client import connect
from emperor.cli.failure import Failed
from emperor.model.text import one_line


@click.command(name="notify-test")
@click.pass_obj
def notify_test(run_dir: Path) -> None:
    """Send a test notice by notify-command and to notify-url, once, and print what came of it.

    Whether it is read by anybody, only the reader can say.
    """
    asyncio.run(_notify_test(run_dir))


async def _notify_test(run_dir: Path) -> None:
    async with connect(run_dir) as client:
        test = await client.notify_test()
    failed = [each for each in test.outcomes if not each.is_sent]
    for each in test.outcomes:
        if each.is_sent:
            click.echo(one_line(f"{each.way}: sent: {each.detail}"))
    if failed:
        raise ExceptionGroup(
            "not sent", [Failed(f"{each.way}: not sent: {each.detail}") for each in failed]
        )
