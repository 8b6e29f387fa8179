"""`emperorctl registry put`: an ini and its aliases, in one transaction."""

import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import click

from emperor.cli.arguments import complete_domain
from emperor.cli.failure import Failed
from emperor.cli.registry.commands import RegistryOptions
from emperor.cli.registry.drafts import CONFIG, Draft, checked, refuse_owner
from emperor.cli.registry.session import (
    Session,
    aliases_named,
    aliases_of,
    as_domain,
    as_text,
    run,
    usable,
    written,
)
from emperor.model.definition import LONGEST_DEFINITION
from emperor.model.registration import Entry, RegisteredIni
from emperor.model.registry_change import Clash, WantedIni
from emperor.model.registry_change import put as changes_of
from emperor.registry.entries import Found


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms an ini is put: the serial that the registry must have (0: none), and the least
    one that the new entry gets."""

    expected: int | None = None
    least: int = 1
    replaces: bool = True
    """False: what differs from what the registry has is refused."""


async def put_one(session: Session, draft: Draft, terms: Terms) -> Entry | None:
    """Put an ini. Returns its new entry, or None if the registry has it so already. Raises
    BrokenEntry, Clash, Outdated and what engines raise."""
    text = as_text(draft.domain, draft.data)
    aliases = aliases_named(draft.domain, draft.data)
    found = await session.entries.get(draft.domain)
    present = None if terms.least > 1 else usable(draft.domain, found)
    _refuse_other_serial(draft.domain, found, terms)
    former = aliases_of(found.sealed.entry if found.sealed else None)
    wanted = WantedIni(
        draft.domain, draft.owner, text, aliases, former, session.signer, terms.least
    )
    others = await session.entries.get_all(name for name in wanted.names if name != draft.domain)
    held = {name: usable(name, each) for name, each in others.items()}
    changes = changes_of(wanted, held | {draft.domain: present or found.sealed})
    if not changes:
        return None
    if found.sealed is not None and not terms.replaces:
        raise Clash(_other_version(found.sealed.entry))
    await session.entries.write(changes, others | {draft.domain: found})
    return changes[0]


def _refuse_other_serial(domain: str, found: Found, terms: Terms) -> None:
    serial = found.sealed.entry.serial if found.sealed else 0
    if terms.expected is not None and serial != terms.expected:
        has = f"has serial {serial}" if serial else "has nothing"
        raise Clash(
            f"the registry {has} for it, and not serial {terms.expected}: somebody else has changed"
            f" it; look at it with `emperorctl registry get {domain}`, and begin again from there"
        )


def _other_version(entry: Entry) -> str:
    if isinstance(entry, RegisteredIni):
        return (
            f"the registry has another version, of {entry.owner} (serial {entry.serial});"
            " --replace puts this one in its place"
        )
    return f"it was taken out of the registry (serial {entry.serial}); --replace puts it back"


def told(domain: str, entry: Entry | None, session: Session) -> str:
    """What became of a put, for people."""
    if entry is None:
        return f"{domain}: the registry has it so already"
    by = f", signed by {session.signer}" if session.signer else ""
    owner = f", owner {entry.owner}" if isinstance(entry, RegisteredIni) else ""
    return f"{domain}: serial {entry.serial}{owner}{by}"


def read_draft(domain: str, file: Path, owner: str | None) -> Draft:
    """The ini in a file, or on standard input for `-`. Raises Failed."""
    cannot = f"cannot put {domain}"
    try:
        if str(file) == "-":
            return Draft(domain, owner or "", sys.stdin.buffer.read(LONGEST_DEFINITION + 1), file)
        with file.open("rb") as source:
            info = file.stat()
            data = source.read(LONGEST_DEFINITION + 1)
    except OSError as error:
        raise Failed(f"{cannot}: cannot read {file}: {error.strerror}") from error
    if owner is None:
        try:
            owner = pwd.getpwuid(info.st_uid).pw_name
        except KeyError as error:
            raise Failed(
                f"{cannot}: {file} belongs to uid {info.st_uid}, which is no user's here; give"
                " --owner USER"
            ) from error
    return Draft(domain, owner, data, file)


class _How(TypedDict):
    """The options of `put`."""

    owner: str | None
    force: bool
    config: str | None
    expect: int | None
    serial: int


@click.command()
@click.argument(
    "domain", metavar="DOMAIN", type=as_domain, shell_complete=complete_domain
)  # fmt: skip
@click.argument("ini", metavar="INI", type=click.Path(path_type=Path))
@click.option(
    "--owner", metavar="USER", help="The user that the app runs as.  [default: the file's owner]"
)
@click.option("--force", is_flag=True, help="Put an ini that is broken, or cannot be checked.")
@click.option(
    "--expect", metavar="SERIAL", type=click.IntRange(0),
    help="Refuse unless the registry has this serial; 0: nothing.",
)  # fmt: skip
@click.option(
    "--serial", metavar="N", type=click.IntRange(1), default=1,
    help="Give it at least this serial, after the registry was restored from a backup.",
)  # fmt: skip
@CONFIG
@click.pass_obj
def put(options: RegistryOptions, domain: str, ini: Path, **how: Unpack[_How]) -> None:
    """Put the ini of DOMAIN into the registry, or change it, together with its aliases.

    INI is a file, or - for standard input. It is checked as by `emperorctl check` on this machine.
    Each backend that has the domain takes the new version within a second; a version that does not
    start there gives way to the last good one.
    """
    draft = read_draft(domain, ini, how["owner"])
    refuse_owner(draft.owner, f"cannot put {domain}")
    checked(draft, options.run_dir, how["config"], is_forced=how["force"])
    terms = Terms(how["expect"], how["serial"])
    click.echo(run(lambda session: _put(session, draft, terms), options.access_file))


async def _put(session: Session, draft: Draft, terms: Terms) -> str:
    change = put_one(session, draft, terms)
    entry = await written(change, f"put {draft.domain}", draft.domain)
    return told(draft.domain, entry, session)
