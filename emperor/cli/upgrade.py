"""`emperorctl upgrade`: the version installed now takes the daemon's place, or it says why not.

The unit runs it as ExecReload=, so it returns when the new version serves, and fails otherwise.
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
    """Have the version that is installed now, with the settings as they are now, take the place of
    emperord: the same process, the same apps, and no request is lost.

    The new version first proves that it can start. If it cannot, nothing changes, and the reason is
    printed.
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
    """Which version serves now, in a line. Raises Failed if the upgrade did not succeed after all:
    the daemon that answers is another process, or still the old program."""
    if after.pid != before.pid:
        raise Failed(
            f"emperord died as it was upgraded: pid {after.pid} serves now, with version"
            f" {after.version}"
        )
    if after.instance_id == before.instance_id:
        raise Failed("emperord could not run the new version: see the log of emperord")
    whom = "" if after.version == before.version else f" from {before.version}"
    return (
        f"emperord {after.version} has taken over{whom}: pid {after.pid} goes on, with all its apps"
    )
