"""Finds the vassals that answer for the hosts that a command was given, and says so."""

from collections.abc import Iterable

import click

from emperor.cli.client import Client
from emperor.cli.failure import Failed, Unreachable
from emperor.cli.text import one_line
from emperor.model.status import VassalDetail


def told(host: str, detail: VassalDetail) -> str:
    """Why the vassal answers for the host; empty where that is its own name."""
    name = detail.status.name
    if host == name:
        return ""
    return (
        f"{host} is an alias of {name}" if host in detail.aliases else f"{name} answers for {host}"
    )


def tell(host: str, detail: VassalDetail) -> None:
    """Say on standard error which vassal it is, if it has another name."""
    if text := told(host, detail):
        click.echo(f"emperorctl: {one_line(text)}", err=True)


async def resolve(client: Client, hosts: Iterable[str]) -> tuple[str, ...]:
    """The names of the vassals that answer for these hosts, each once. A host without a vassal
    stays as it is. Raises Unreachable."""
    names: dict[str, None] = {}
    for host in hosts:
        try:
            detail = await client.host(host)
        except Unreachable:
            raise
        except Failed:
            names[host] = None
        else:
            tell(host, detail)
            names[detail.status.name] = None
    return tuple(names)
