"""`emperorctl drain` and `undrain`: whether load balancers send requests to this machine."""

import asyncio
from pathlib import Path

import click

from emperor.cli.client import connect
from emperor.model.text import clock

DRAINING = """\
Load balancers that ask for its health are told 503 and, within seconds, send
new requests elsewhere. What still arrives is served. emperorctl status shows
which apps run; emperorctl undrain ends the drain.\
"""
SERVING = """\
Serving. Load balancers that ask for its health are told 200 and, within
seconds, send requests here again.\
"""


@click.command()
@click.pass_obj
def drain(run_dir: Path) -> None:
    """Have load balancers send new requests to other machines, for example before maintenance.

    Nothing else changes: requests that still arrive are served, and wake apps. The drain lasts
    until emperorctl undrain or a reboot; a restart of emperord does not end it.
    """
    asyncio.run(_drain(run_dir))


@click.command()
@click.pass_obj
def undrain(run_dir: Path) -> None:
    """Have load balancers send requests to this machine again."""
    asyncio.run(_undrain(run_dir))


async def _drain(run_dir: Path) -> None:
    async with connect(run_dir) as client:
        emperor = await client.drain()
    began = f" since {clock(emperor.draining_since)}" if emperor.draining_since else ""
    click.echo(f"Draining{began}.")
    click.echo(DRAINING)


async def _undrain(run_dir: Path) -> None:
    async with connect(run_dir) as client:
        await client.undrain()
    click.echo(SERVING)
