"""`emperorctl registry verify`: what in the registry a backend would not take, or never find."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from emperor.cli.failure import Failed
from emperor.cli.registry.commands import RegistryOptions
from emperor.cli.registry.get import problem_of
from emperor.cli.registry.session import Session, aliases_of, run
from emperor.linux.accounts import SystemAccounts
from emperor.model.definition import LONGEST_DEFINITION
from emperor.model.registration import RegisteredAlias, RegisteredIni, RegisteredRemoval, Sealed
from emperor.model.text import one_line
from emperor.registry.entries import Found


@dataclass(slots=True)
class _Seen:
    """What one pass has seen. Of most domains nothing is kept."""

    inis: int = 0
    aliases: dict[str, str] = field(default_factory=dict)
    """the domain of each alias that has an entry"""
    named: dict[str, str] = field(default_factory=dict)
    """the domain of each alias that an ini names"""
    problems: int = 0

    def tell(self, domain: str, problem: str) -> None:
        self.problems += 1
        click.echo(one_line(f"{domain}: {problem}"))


@click.command()
@click.pass_obj
def verify(options: RegistryOptions) -> None:
    """Check all entries: whether they can be read, are in the right bucket, signed by a signer who
    may, and of a user of this machine; and whether aliases and inis fit together.

    Run it on a backend, which has the users. The exit status is 1 if there is a problem.
    """
    seen = _Seen()
    run(lambda session: _verify(session, seen), options.access_file)
    for alias, domain in seen.aliases.items():
        if seen.named.get(alias) != domain:
            seen.tell(alias, f"it is an alias of {domain}, whose ini does not name it; put that")
    for alias, domain in seen.named.items():
        if alias not in seen.aliases:
            seen.tell(domain, f"its alias {alias} has no entry; put it again")
    click.echo(f"{seen.inis} inis, {len(seen.aliases)} aliases, {seen.problems} problems")
    if seen.problems:
        raise Failed(f"{seen.problems} problems in the registry: see above")


async def _verify(session: Session, seen: _Seen) -> None:
    users: dict[str, str] = {}
    async for held in session.entries.all():
        domain, each = session.entries.found_at(held)
        for problem in _problems(session, each, users):
            seen.tell(domain, problem)
        match each.sealed and each.sealed.entry:
            case RegisteredIni() as entry:
                seen.inis += 1
                seen.named |= dict.fromkeys(aliases_of(entry), domain)
            case RegisteredAlias(alias_of=other):
                seen.aliases[domain] = other


def _problems(session: Session, each: Found, users: dict[str, str]) -> Iterator[str]:
    if each.sealed is None:
        yield each.problem
        return
    if problem := problem_of(session, each.sealed):
        entry = each.sealed.entry
        if isinstance(entry, RegisteredRemoval):
            problem += f"; `emperorctl registry rm {entry.domain}` signs its removal anew"
        yield problem
    yield from _of_ini(each.sealed, users)


def _of_ini(sealed: Sealed, users: dict[str, str]) -> Iterator[str]:
    entry = sealed.entry
    if isinstance(entry, RegisteredRemoval | RegisteredAlias):
        return
    if len(entry.ini.encode()) > LONGEST_DEFINITION:
        yield f"its ini is longer than the {LONGEST_DEFINITION} bytes that a backend takes"
    if entry.owner not in users:
        users[entry.owner] = _of_owner(entry.owner)
    if users[entry.owner]:
        yield users[entry.owner]


def _of_owner(owner: str) -> str:
    user = SystemAccounts().user(owner)
    if user is None or owner.isdigit():
        return f"its owner {owner} is no user of this machine"
    return "its owner is root, whom no backend takes" if user.uid == 0 else ""
