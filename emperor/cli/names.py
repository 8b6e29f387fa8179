"""Finds the vassals that the hosts and patterns of a command mean, and says which they are."""

from collections.abc import Iterable

import click

from emperor.cli.client import Client
from emperor.cli.failure import Failed, NoSuchVassal, Unreachable
from emperor.model.selection import is_pattern, unmatched
from emperor.model.status import Report, VassalDetail
from emperor.model.text import one_line


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
    """The names of the vassals that answer for these hosts, each once. A pattern stays as it is,
    and so does a host without a vassal. Raises Unreachable."""
    names: dict[str, None] = {}
    for host in hosts:
        if is_pattern(host):
            names[host] = None
            continue
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


def nobody(words: Iterable[str], report: Report) -> dict[str, NoSuchVassal]:
    """A failure for each domain and pattern that means no vassal and no refused ini."""
    names = {vassal.name for vassal in report.vassals} | {ini.domain for ini in report.refused}
    return {word: no_such_vassal(word) for word in unmatched(words, names)}


def no_such_vassal(word: str) -> NoSuchVassal:
    """The failure for a domain or a pattern that means none."""
    text = f"no vassal matches {word!r}" if is_pattern(word) else f"no such vassal: {word}"
    return NoSuchVassal(text)
