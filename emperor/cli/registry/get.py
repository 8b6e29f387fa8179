"""`emperorctl registry get`: the ini of a domain, or what the registry knows of it."""

import json
import sys
from dataclasses import dataclass

import click

from emperor.cli.arguments import complete_domain
from emperor.cli.failure import Failed, NoSuchVassal
from emperor.cli.registry.commands import RegistryOptions
from emperor.cli.registry.session import Session, aliases_of, as_domain, run
from emperor.model.registration import (
    BrokenEntry,
    RegisteredAlias,
    RegisteredIni,
    RegisteredRemoval,
    Sealed,
)
from emperor.model.status import as_json
from emperor.model.text import one_line


@dataclass(frozen=True, slots=True)
class IniInJson:
    """A domain in `emperorctl registry get --json`. `signer` is null if nobody has signed it, and
    `problem` if backends take it."""

    domain: str
    serial: int
    owner: str
    signer: str | None
    problem: str | None
    aliases: tuple[str, ...]
    ini: str


async def found_ini(session: Session, domain: str) -> tuple[Sealed, RegisteredIni]:
    """The entry of a domain, or of the domain whose alias it is. Raises NoSuchVassal and Failed."""
    for name in (domain, None):
        found = await session.entries.get(name or domain)
        if found.problem:
            raise Failed(f"cannot use what the registry has for {domain}: {found.problem}")
        match found.sealed:
            case Sealed(entry=RegisteredIni() as entry):
                return found.sealed, entry
            case Sealed(entry=RegisteredAlias(alias_of=other)) if name:
                click.echo(f"emperorctl: {domain} is an alias of {other}", err=True)
                domain = other
            case Sealed(entry=RegisteredRemoval(serial=serial)):
                raise NoSuchVassal(f"{domain} was taken out of the registry (serial {serial})")
            case _:
                break
    raise NoSuchVassal(f"the registry has no {domain}")


def problem_of(session: Session, sealed: Sealed) -> str | None:
    """Why the signature of an entry is not valid; None if it is."""
    try:
        session.check(sealed)
    except BrokenEntry as error:
        return str(error)
    return None


@click.command()
@click.argument(
    "domain", metavar="DOMAIN", type=as_domain, shell_complete=complete_domain
)  # fmt: skip
@click.option("--long", "is_long", is_flag=True, help="Owner, serial and signer instead.")
@click.option("--json", "raw", is_flag=True, help="JSON: all of it.")
@click.pass_obj
def get(options: RegistryOptions, domain: str, is_long: bool, raw: bool) -> None:
    """Print the ini of DOMAIN as it is in the registry."""

    async def _get(session: Session) -> IniInJson:
        sealed, entry = await found_ini(session, domain)
        return IniInJson(
            entry.domain,
            entry.serial,
            entry.owner,
            sealed.signer or None,
            problem_of(session, sealed),
            aliases_of(entry),
            entry.ini,
        )

    found = run(_get, options.access_file)
    if raw:
        click.echo(json.dumps(as_json(found)))
    elif is_long:
        click.echo(_long(found))
    else:
        sys.stdout.flush()
        click.echo(found.ini.encode(), nl=False)


def _long(found: IniInJson) -> str:
    rows = [
        ("domain", found.domain),
        ("owner", found.owner),
        ("serial", str(found.serial)),
        ("signed by", found.signer or "nobody"),
        ("aliases", ", ".join(found.aliases)),
        ("size", f"{len(found.ini.encode())} bytes"),
        ("problem", found.problem or ""),
    ]
    return "\n".join(f"{name:<10} {one_line(value)}" for name, value in rows if value)
