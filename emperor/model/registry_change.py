"""Which entries of the registry change when an ini is put there, or a domain is taken out.

An alias has an entry of its own, so the entries of a domain and of its aliases change together, in
one transaction.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from emperor.model.registration import (
    Entry,
    RegisteredAlias,
    RegisteredIni,
    RegisteredRemoval,
    Sealed,
)

# etcd takes 128 changes in a transaction.
MOST_ALIASES = 100


class Clash(Exception):
    """The registry has something else for a name that is needed; the message says what, and what
    to do."""


@dataclass(frozen=True, slots=True)
class WantedIni:
    """An ini as it shall be in the registry. `former` are the aliases that the present one has, and
    `signer` is who will sign it, empty for nobody. With a `least_serial` above 1 it is written also
    where nothing else changes."""

    domain: str
    owner: str
    ini: str
    aliases: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    signer: str = ""
    least_serial: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """All names whose entries may change."""
        return tuple(dict.fromkeys((self.domain, *self.aliases, *self.former)))


Held = Mapping[str, Sealed | None]


def put(wanted: WantedIni, held: Held) -> tuple[Entry, ...]:
    """What has to be written, where `held` has the entries of all its names; nothing if the
    registry has it so already. Raises Clash."""
    if len(wanted.aliases) > MOST_ALIASES:
        raise Clash(f"it has {len(wanted.aliases)} aliases, and {MOST_ALIASES} are possible")
    if isinstance(present := _entry(held, wanted.domain), RegisteredAlias):
        other = present.alias_of
        raise Clash(
            f"{wanted.domain} is an alias of {other}; take it out of the aliases of {other} first"
        )
    is_forced = wanted.least_serial > 1
    changes: list[Entry] = []
    for alias in wanted.aliases:
        _refuse_foreign(alias, wanted.domain, _entry(held, alias))
        serial = max(_next(held, alias), wanted.least_serial)
        new = RegisteredAlias(alias, serial, wanted.domain)
        if is_forced or not _is_same(held.get(alias), new, wanted.signer):
            changes.append(new)
    changes += _removals(wanted.domain, set(wanted.former) - set(wanted.aliases), held)
    serial = max(_next(held, wanted.domain), wanted.least_serial)
    ini = RegisteredIni(wanted.domain, serial, wanted.owner, wanted.ini)
    if is_forced or changes or not _is_same(held.get(wanted.domain), ini, wanted.signer):
        changes.insert(0, ini)
    return tuple(changes)


def remove(
    domain: str, aliases: Collection[str], held: Held, least_serial: int = 1, signer: str = ""
) -> tuple[Entry, ...]:
    """What has to be written to take out a domain, whose ini has these aliases; nothing if that is
    done with a serial of at least that, and signed by who signs now. Raises Clash."""
    present = _entry(held, domain)
    if isinstance(present, RegisteredAlias):
        other = present.alias_of
        raise Clash(f"it is an alias of {other}; put the ini of {other} without it")
    if isinstance(present, RegisteredRemoval) and present.serial >= least_serial:
        sealed = held[domain]
        if not signer or (sealed and sealed.signer == signer):
            return ()
    removal = RegisteredRemoval(domain, max(_next(held, domain), least_serial))
    return (removal, *_removals(domain, aliases, held))


def _removals(domain: str, aliases: Collection[str], held: Held) -> list[RegisteredRemoval]:
    """The removals of aliases that are still of that domain."""
    present = {alias: _entry(held, alias) for alias in sorted(aliases)}
    return [
        RegisteredRemoval(alias, entry.serial + 1)
        for alias, entry in present.items()
        if isinstance(entry, RegisteredAlias) and entry.alias_of == domain
    ]


def _refuse_foreign(alias: str, domain: str, present: Entry | None) -> None:
    match present:
        case RegisteredIni():
            raise Clash(
                f"its alias {alias} has an ini of its own in the registry; drop the alias, or"
                f" `emperorctl registry rm {alias}` first"
            )
        case RegisteredAlias(alias_of=other) if other != domain:
            raise Clash(
                f"its alias {alias} is one of {other}; drop it here, or take it out of the aliases"
                f" of {other} first"
            )


def _entry(held: Held, domain: str) -> Entry | None:
    sealed = held.get(domain)
    return None if sealed is None else sealed.entry


def _next(held: Held, domain: str) -> int:
    entry = _entry(held, domain)
    return 1 if entry is None else entry.serial + 1


def _is_same(held: Sealed | None, new: Entry, signer: str) -> bool:
    """Whether the entry would change in its serial alone."""
    if held is None or held.signer != signer:
        return False
    match held.entry, new:
        case RegisteredIni(owner=owner, ini=ini), RegisteredIni():
            return (owner, ini) == (new.owner, new.ini)
        case RegisteredAlias(alias_of=other), RegisteredAlias():
            return other == new.alias_of
    return False
