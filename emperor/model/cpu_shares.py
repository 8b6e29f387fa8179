"""Decides who yields the CPU to all others: tenants that take all that they can get, and all apps
together, while the rest of the machine wants little.

Each look sees what everybody has used since the look before. The fair share of a tenant is what it
would get if it wanted everything, and the others wanted what they have used (max-min fairness). A
tenant that uses about that at a few looks in a row yields. If it then gets clearly less, others
compute as much as they can, too: nobody yields any more, and it takes twice as many looks until
somebody does. So nobody can keep another from its share by computing now and then.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

# Of the fair share. Between these a tenant that yields goes on to do so.
_GREEDY, _STARVED = 0.85, 0.75
# Of a core: a tenant that uses less never yields.
_LEAST_CORES = 0.1
# Of the machine: all apps yield only while the rest of it uses less than it would get anyway, which
# is one half of two.
_MODEST = 0.45
# Of the machine: somebody may have to wait while more is used.
_FULL = 0.9
# More than one, because a start takes all that it can get, too.
_FEWEST_LOOKS, _MOST_LOOKS = 2, 64


@dataclass(frozen=True, slots=True)
class Used:
    """What was used in `seconds`, in seconds of one core: by each tenant, by all apps together, by
    the rest of the machine. `capacity` is what all cores had to give."""

    seconds: float
    capacity: float
    tenants: Mapping[str, float]
    apps: float
    rest: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How many looks in a row lead to a mark, and at how many it has then done no harm."""

    needed: int = _FEWEST_LOOKS
    harmless: int = 0

    def after(self, was_marked: bool, is_harmful: bool) -> "Patience":
        """The patience with a tenant after a further look."""
        if is_harmful:
            return Patience(min(2 * self.needed, _MOST_LOOKS))
        if not was_marked:
            return replace(self, harmless=0)
        if self.harmless >= _MOST_LOOKS:
            return Patience(max(_FEWEST_LOOKS, self.needed // 2))
        return replace(self, harmless=self.harmless + 1)


@dataclass(frozen=True, slots=True)
class Yielding:
    """Who yields, and what leads there: at how many looks in a row each tenant was `greedy`, and
    the rest of the machine `modest`."""

    tenants: frozenset[str] = frozenset()
    all_apps: bool = False
    greedy: Mapping[str, int] = field(default_factory=dict)
    modest: int = 0
    with_tenants: Patience = Patience()
    with_all_apps: Patience = Patience()

    def after(self, used: Used) -> "Yielding":
        """Who yields after a further look."""
        is_modest = used.rest < _MODEST * used.capacity
        is_full = used.apps + used.rest >= _FULL * used.capacity
        are_starved = self.all_apps and is_full and not is_modest
        with_all_apps = self.with_all_apps.after(self.all_apps, are_starved)
        is_harmful = is_full and any(_is_starved(tenant, used) for tenant in self.tenants)
        with_tenants = self.with_tenants.after(bool(self.tenants), is_harmful)
        if is_harmful:
            return Yielding(with_tenants=with_tenants, with_all_apps=with_all_apps)
        greedy = {
            tenant: self.greedy.get(tenant, 0) + 1
            for tenant in used.tenants
            if _is_greedy(tenant, used, _STARVED if tenant in self.tenants else _GREEDY)
        }
        modest = self.modest + 1 if is_modest else 0
        tenants = frozenset(each for each, looks in greedy.items() if looks >= with_tenants.needed)
        # Other programs come in bursts more often than tenants do, and all apps wait for them.
        all_apps = bool(tenants) and modest >= 2 * with_all_apps.needed
        return Yielding(tenants, all_apps, greedy, modest, with_tenants, with_all_apps)

    def relieved(self) -> "Yielding":
        """Who yields when nobody waits for the CPU any more: nobody."""
        return Yielding(with_tenants=self.with_tenants, with_all_apps=self.with_all_apps)


def fair_share(capacity: float, others: Collection[float]) -> float:
    """What somebody gets who wants everything, beside others who want that much: none of them gets
    more than it wants, and all who want more than they get, get the same."""
    left, sharing = capacity, len(others) + 1
    for amount in sorted(others):
        if amount * sharing >= left:
            break
        left -= amount
        sharing -= 1
    return left / sharing


def _is_greedy(tenant: str, used: Used, bound: float) -> bool:
    amount = used.tenants[tenant]
    # So few get beyond this that the rest may take long.
    return amount >= _LEAST_CORES * used.seconds and amount >= bound * _share_of(tenant, used)


def _is_starved(tenant: str, used: Used) -> bool:
    amount = used.tenants.get(tenant)
    return amount is not None and amount < _STARVED * _share_of(tenant, used)


def _share_of(tenant: str, used: Used) -> float:
    others = [amount for each, amount in used.tenants.items() if each != tenant]
    return fair_share(used.capacity - used.rest, others)
