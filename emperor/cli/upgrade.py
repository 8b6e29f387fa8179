"""`emperorctl upgrade`: the version installed now takes the daemon's place, or it says why not.

It is the unit's ExecReload= too, so it comes back when all is done, and fails when nothing was.
"""

import asyncio
from pathlib import Path

import click

from emperor.cli.client import Client, connect
from emperor.cli.failure import Failed
from emperor.cli.progress import Progress
from emperor.cli.records import parse
from emperor.model.status import EmperorStatus, Report


@click.command()
@click.pass_obj
def upgrade(run_dir: Path) -> None:
    """Have the version that is installed now, with the settings as they are now, take emperord's
    place: the same process, the same apps, and no request notices.

    First it proves that it can start. If it cannot, all stays as it is, and this says why.
    """
    asyncio.run(_upgrade(run_dir))


async def _upgrade(run_dir: Path) -> None:
    progress = Progress("upgrading", ["emperord"])
    result = ""
    try:
        async with connect(run_dir) as client:
            before = await _emperor(client)
            await client.upgrade()
            result = outcome(before, await _emperor(client))
    finally:
        progress.done("emperord", result)


async def _emperor(client: Client) -> EmperorStatus:
    return parse(Report, await client.status()).emperor


def outcome(before: EmperorStatus, after: EmperorStatus) -> str:
    """Who serves now, in a line. Raises Failed where that is not the same process: it has died."""
    if after.pid != before.pid:
        raise Failed(
            f"emperord died as it was upgraded: pid {after.pid} serves now, with version"
            f" {after.version}"
        )
    whom = "" if after.version == before.version else f" from {before.version}"
    return (
        f"emperord {after.version} has taken over{whom}: pid {after.pid} goes on, with all its apps"
    )
