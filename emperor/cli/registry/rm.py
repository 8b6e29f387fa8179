"""`emperorctl registry rm`: takes domains out, by an entry that says so."""

import click

from emperor.cli.arguments import complete_domain
from emperor.cli.failure import Failed, NoSuchVassal
from emperor.cli.registry.commands import RegistryOptions
from emperor.cli.registry.session import Session, aliases_of, as_domain, run, usable, written
from emperor.model.registry_change import remove


@click.command()
@click.argument(
    "domains", metavar="DOMAIN...", type=as_domain, nargs=-1, required=True,
    shell_complete=complete_domain,
)  # fmt: skip
@click.option(
    "--serial", metavar="N", type=click.IntRange(1), default=1,
    help="Give the removal at least this serial, also of a DOMAIN that is missing: after a restore"
    " from a backup.",
)  # fmt: skip
@click.pass_obj
def rm(options: RegistryOptions, domains: tuple[str, ...], serial: int) -> None:
    """Take each DOMAIN out of the registry, with its aliases.

    Each backend that has it stops its app and removes its ini. The registry keeps a note of the
    removal, so that a missing entry never takes a site down: an old backup, for instance.
    """

    async def _rm(session: Session) -> list[Failed]:
        failures = []
        for domain in dict.fromkeys(domains):
            try:
                change = _remove(session, domain, serial)
                click.echo(await written(change, f"take out {domain}", domain))
            except Failed as error:
                failures.append(error)
        return failures

    if failures := run(_rm, options.access_file):
        raise ExceptionGroup("cannot take out", failures)


async def _remove(session: Session, domain: str, least_serial: int) -> str:
    found = await session.entries.get(domain)
    sealed = found.sealed if least_serial > 1 else usable(domain, found)
    if sealed is None and least_serial == 1:
        raise NoSuchVassal(
            f"the registry has no {domain}; to remove it from backends that have it all the same,"
            " give a --serial above the one that `emperorctl why` tells there"
        )
    aliases = aliases_of(sealed.entry if sealed else None)
    others = await session.entries.get_all(aliases)
    held = {name: each.sealed for name, each in others.items()}
    changes = remove(domain, aliases, held | {domain: sealed}, least_serial, session.signer)
    if not changes:
        assert sealed
        return f"{domain}: was taken out before (serial {sealed.entry.serial})"
    await session.entries.write(changes, others | {domain: found})
    also = f", with {', '.join(each.domain for each in changes[1:])}" if changes[1:] else ""
    return f"{domain}: taken out (serial {changes[0].serial}){also}"
