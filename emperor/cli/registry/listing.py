"""`emperorctl registry list`: the domains, page by page, so that a million need no memory."""

import json
from dataclasses import dataclass

import click

from emperor.cli.registry.commands import RegistryOptions
from emperor.cli.registry.session import Session, run
from emperor.model.registration import (
    RegisteredAlias,
    RegisteredIni,
    RegisteredRemoval,
)
from emperor.model.status import as_json
from emperor.model.text import one_line
from emperor.registry.entries import Found

_ROW = "{:<40} {:<16} {:>7}  {}"


@dataclass(frozen=True, slots=True)
class EntryInJson:
    """A line of `emperorctl registry list --json`. `kind` is ini, alias, removed or broken;
    `owner`, `alias_of`, `signer` and `problem` are null where they do not apply."""

    domain: str
    kind: str
    serial: int | None
    owner: str | None
    alias_of: str | None
    signer: str | None
    problem: str | None


@click.command("list")
@click.option("--owner", metavar="USER", help="Only the inis of this user.")
@click.option("--all", "everything", is_flag=True, help="Aliases and removed domains too.")
@click.option("--json", "raw", is_flag=True, help="JSON: an object in each line.")
@click.pass_obj
def list_(options: RegistryOptions, owner: str | None, everything: bool, raw: bool) -> None:
    """List the domains of the registry, in the order of its buckets."""

    async def _list(session: Session) -> None:
        # The header of a registry that does not answer would look like an empty one.
        is_begun = False
        async for held in session.entries.all():
            is_begun = is_begun or _begun(raw)
            row = row_of(*session.entries.found_at(held))
            if owner is not None and row.owner != owner:
                continue
            if everything or row.kind in ("ini", "broken"):
                click.echo(json.dumps(as_json(row)) if raw else _line(row))
        if not is_begun:
            _begun(raw)

    run(_list, options.access_file)


def _begun(raw: bool) -> bool:
    """Print the header, which JSON does not have."""
    if not raw:
        click.echo(_ROW.format("DOMAIN", "OWNER", "SERIAL", "").rstrip())
    return True


def row_of(domain: str, each: Found) -> EntryInJson:
    """An entry as `list` shows it."""
    if each.sealed is None:
        return EntryInJson(domain, "broken", None, None, None, None, each.problem)
    entry, signer = each.sealed.entry, each.sealed.signer or None
    match entry:
        case RegisteredIni(owner=owner):
            return EntryInJson(domain, "ini", entry.serial, owner, None, signer, None)
        case RegisteredAlias(alias_of=other):
            return EntryInJson(domain, "alias", entry.serial, None, other, signer, None)
        case RegisteredRemoval():
            return EntryInJson(domain, "removed", entry.serial, None, None, signer, None)


def _line(row: EntryInJson) -> str:
    told = {
        "alias": f"alias of {row.alias_of}",
        "removed": "taken out",
        "broken": one_line(row.problem or ""),
    }.get(row.kind, "")
    serial = "" if row.serial is None else str(row.serial)
    return _ROW.format(one_line(row.domain), one_line(row.owner or "-"), serial, told).rstrip()
