"""Reads which aliases the registry gives to an ini before that is pulled.

The author of a tenant's ini could otherwise take the host name of another. Whoever has put an alias
into the registry could put it for both names.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from emperor.model.domain import is_domain
from emperor.model.pulled import Occasion
from emperor.model.registration import RegisteredAlias, RegisteredIni
from emperor.pull.local_copy import LocalCopy
from emperor.pull.pulled_inis import Order
from emperor.pull.verification import Verifier
from emperor.registry.reads import Reads, answered

# An ini that lists more has its alias entries read in parts.
_AT_ONCE = 64
_MOST_ALIASES = 1024

# The aliases in the text of an ini of that name in that folder, which may be broken.
AliasesIn = Callable[[bytes, str, str], Collection[str]]


@dataclass(frozen=True)
class AliasGrants:
    """Whatever inis are pulled, their aliases are noted first."""

    reads: Reads
    verifier: Verifier
    local_copy: LocalCopy
    aliases_in: AliasesIn

    async def note(self, order: Order) -> None:
        """Keep which of the aliases of an ini lead to its domain. Raises CannotReach and
        RegistryRefused."""
        entry = order.entry
        if not isinstance(entry, RegisteredIni) or "aliases" not in entry.ini:
            return
        listed = self.aliases_in(entry.ini.encode(), f"{entry.domain}.ini", "/")
        names = [name for name in listed if is_domain(name) and name != entry.domain]
        for begin in range(0, min(len(names), _MOST_ALIASES), _AT_ONCE):
            await self._note(names[begin : begin + _AT_ONCE], entry.domain)

    async def _note(self, names: list[str], domain: str) -> None:
        found = [answered(each) for each in await self.reads.read_all(names)]
        leading = [
            (self.verifier.order(name, read.value, read.written, Occasion.CHANGE), read.revision)
            for name, read in zip(names, found, strict=True)
            if read.value is not None
        ]
        orders = {
            order.domain: (order, revision)
            for order, revision in leading
            if isinstance(order.entry, RegisteredAlias) and order.entry.alias_of == domain
        }
        await self.local_copy.carry_out([order for order, _ in orders.values()])
        for name, (_, revision) in orders.items():
            if self.local_copy.alias_of(name) == domain:
                self.local_copy.grow(name, revision)
