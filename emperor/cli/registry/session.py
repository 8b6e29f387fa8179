"""A connection to the registry, and what its failures mean for a command."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from emperor.cli.failure import Failed, Unreachable
from emperor.cli.registry_failures import registry_failures
from emperor.model.definition import LONGEST_DEFINITION
from emperor.model.domain import LONGEST_DOMAIN, is_domain
from emperor.model.registration import BrokenEntry, Entry, RegisteredIni, Sealed
from emperor.model.registry_access import RegistryAccess
from emperor.model.registry_change import Clash
from emperor.model.registry_keys import Keys
from emperor.registry.access import load_access
from emperor.registry.entries import Entries, Found
from emperor.registry.etcd import Etcd
from emperor.registry.port import CannotReach, Outdated, RegistryRefused, Unsure
from emperor.registry.signers_file import Check, load_check
from emperor.uwsgi.ini import aliases_in

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """The registry while it is open. `signer` is who signs what this machine writes, empty for
    nobody; `check` raises BrokenEntry for an entry whose signature is not valid."""

    entries: Entries
    signer: str
    check: Check


@asynccontextmanager
async def opened(access_file: Path) -> AsyncIterator[Session]:
    """The registry that the file names. Nothing is sent yet. Raises Failed."""
    with registry_failures():
        access = load_access(access_file)
        seal, signer, check = _signatures(access)
        async with Etcd(access) as engine:
            yield Session(Entries(engine, Keys(access.prefix), seal), signer, check)


def _signatures(access: RegistryAccess) -> tuple[Callable[[Entry], Sealed], str, Check]:
    """How entries are signed, by whom, and how a signature is checked."""
    check, key = load_check(access.signers_file), None
    if access.signer_key_file:
        # It is imported only where there are signers.
        from emperor.registry.signatures import load_key  # noqa: PLC0415

        key = load_key(access.signer_key_file)

    def seal(entry: Entry) -> Sealed:
        sealed = key.seal(entry) if key else Sealed(entry)
        check(sealed)
        return sealed

    return seal, key.name if key else "", check


def run(body: Callable[[Session], Coroutine[Any, Any, T]], access_file: Path) -> T:
    """Run `body` with the open registry, and return its result. Raises Failed."""

    async def _run() -> T:
        async with opened(access_file) as session:
            return await body(session)

    return asyncio.run(_run())


async def written(change: Awaitable[T], doing: str, domain: str) -> T:
    """What a change gives. Each of its failures becomes one of the command, which tells what it was
    `doing`: "put www.example.com". Raises Failed."""
    look = f"look at it with `emperorctl registry get --long {domain}`"
    try:
        return await change
    except (BrokenEntry, Clash, RegistryRefused) as error:
        raise Failed(f"cannot {doing}: {error}") from error
    except Outdated as error:
        raise Failed(
            f"cannot {doing}: somebody else has changed it at the same time; {look}, then try again"
        ) from error
    except Unsure as error:
        raise Unreachable(
            f"cannot {doing}: {error}; it may have been written all the same: {look}"
        ) from error
    except CannotReach as error:
        raise Unreachable(f"cannot {doing}: {error}") from error


def usable(domain: str, found: Found) -> Sealed | None:
    """The entry that was found. Raises BrokenEntry if it cannot be used."""
    if found.problem:
        raise BrokenEntry(
            f"what the registry has for {domain} cannot be used ({found.problem}); replace it by"
            f" `emperorctl registry put {domain} INI --serial N`, with an N above the serial that"
            " any backend has"
        )
    return found.sealed


def aliases_of(entry: Entry | None) -> tuple[str, ...]:
    """The aliases that an ini names, and which can be host names."""
    if not isinstance(entry, RegisteredIni):
        return ()
    return aliases_named(entry.domain, entry.ini.encode())


def aliases_named(domain: str, ini: bytes) -> tuple[str, ...]:
    """The aliases in the text of an ini, which may be broken."""
    names = aliases_in(ini, f"{domain}.ini", "/")
    return tuple(name for name in names if is_domain(name) and name != domain)


def as_domain(text: str) -> str:
    """A domain as people write it. Raises BadParameter."""
    domain = text.lower().removesuffix(".")
    if domain.startswith("*."):
        raise click.BadParameter(
            f"{text!r} is no host name; the app of all subdomains is named _{domain[1:]}"
        )
    if not is_domain(domain):
        raise click.BadParameter(
            f"{text!r} is no host name of a-z, 0-9, _, . and -, and at most {LONGEST_DOMAIN}"
            " characters"
        )
    return domain


def as_text(domain: str, data: bytes) -> str:
    """The text of an ini. Raises BrokenEntry."""
    if len(data) > LONGEST_DEFINITION:
        raise BrokenEntry(
            f"the ini of {domain} has {len(data)} bytes, and a backend takes {LONGEST_DEFINITION}"
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BrokenEntry(f"line {line} of the ini is not UTF-8 text; save it as UTF-8") from error
