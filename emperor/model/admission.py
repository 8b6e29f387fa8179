"""Decides which requests may be held and which are too many, and which log lines of a flood are
written.

The places are shared by the tenants first, then by the domains of each. Otherwise two slow domains
of one tenant would have all, and visitors of every other sleeping app would be answered 503.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from math import inf

from emperor.model.fd_budget import FdBudget
from emperor.model.settings import Settings

# All hosts without a vassal, which provisioning may give one, count as one domain here: a client
# can make up any number of names, and must not keep everybody else out with them.
UNKNOWN_HOSTS = ""
_UNKNOWN_SHARE = 8

# The user that an app runs as; None: that of the daemon.
Tenant = int | None

# A burst ends when nothing came for this long.
QUIET_SECONDS = 60.0


class Limit(Enum):
    """The setting or limit that a rejected request ran into. An administrator can raise it."""

    DOMAIN = "max-held-per-domain"
    UNKNOWN_HOSTS = "an eighth of max-held"
    OVERALL = "max-held"
    DESCRIPTORS = "the limit on open files: raise LimitNOFILE= of the unit"

    @property
    def label(self) -> str:
        """The name of the limit in the metrics."""
        return "nofile" if self is Limit.DESCRIPTORS else self.value


# Those that one request runs into because of all others.
_SHARED = frozenset({Limit.OVERALL, Limit.DESCRIPTORS})


class Bursts:
    """Tells the first event of each burst from the others."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def begins(self, what: str, now: float) -> bool:
        """Whether this event is the first of a burst. `now` is in monotonic seconds."""
        last = self._last.get(what, -inf)
        self._last[what] = now
        return now - last > QUIET_SECONDS


def _nothing() -> None:
    pass


@dataclass(slots=True, eq=False)
class Held:
    """A request that is held for a domain of a tenant. `turned_away_for`: the limit for which it
    gave way to another one. `on_turned_away` is called at that moment."""

    tenant: Tenant
    domain: str
    turned_away_for: Limit | None = None
    on_turned_away: Callable[[], None] = _nothing


class Admission:
    """Counts the requests that are held, in all, for each tenant and for each domain.

    A tenant, or a domain of it, that has more than its share gives way: when all places are taken,
    the newest request of the one with the most makes room for another.
    """

    def __init__(self, settings: Settings, descriptors: FdBudget) -> None:
        self._most = settings.max_held or inf
        self._most_per_domain = settings.max_held_per_domain or inf
        self._most_unknown = self._most / _UNKNOWN_SHARE
        self._descriptors = descriptors
        # The newest is the last one.
        self._held: dict[Tenant, dict[str, dict[Held, None]]] = {}
        self._of_domain: Counter[str] = Counter()
        self._of_tenant: Counter[Tenant] = Counter()
        self._total = self._unknown = 0
        self._turned_away = 0
        self._hits: Counter[tuple[Tenant, Limit]] = Counter()

    @property
    def total(self) -> int:
        """How many requests are held."""
        return self._total

    @property
    def turned_away(self) -> int:
        """How many were rejected since the start."""
        return self._turned_away

    @property
    def hits(self) -> Mapping[tuple[Tenant, Limit], int]:
        """How many of each tenant were rejected since the start, and for which limit."""
        return self._hits

    def held(self, domain: str) -> int:
        """How many are held for that domain."""
        return self._unknown if domain == UNKNOWN_HOSTS else self._of_domain[domain]

    def held_of(self, tenant: Tenant) -> int:
        """How many are held for all domains of a tenant."""
        return self._of_tenant[tenant]

    def rejection(self, domain: str, descriptor: int, tenant: Tenant = None) -> Limit | None:
        """Why a request for that domain cannot be held, or None. `descriptor` is that of its
        connection. What is rejected is counted: this request, or the one that makes room for it."""
        bound = self._bound(domain, descriptor)
        if bound is None:
            return None
        if bound in _SHARED and domain != UNKNOWN_HOSTS and (held := self._surplus(tenant, domain)):
            self._count(held.tenant, bound)
            self._remove(held)
            held.turned_away_for = bound
            held.on_turned_away()
            return None
        if domain == UNKNOWN_HOSTS:
            self._turned_away += 1
        else:
            self._count(tenant, bound)
        return bound

    @contextmanager
    def holding(self, domain: str, tenant: Tenant = None) -> Iterator[Held]:
        """Count one as held."""
        held = Held(tenant, domain)
        self._add(held)
        try:
            yield held
        finally:
            if held.turned_away_for is None:
                self._remove(held)

    def _bound(self, domain: str, descriptor: int) -> Limit | None:
        if domain == UNKNOWN_HOSTS:
            if self._unknown >= self._most_unknown:
                return Limit.UNKNOWN_HOSTS
        elif self._of_domain[domain] >= self._most_per_domain:
            return Limit.DOMAIN
        if self._total >= self._most:
            return Limit.OVERALL
        return Limit.DESCRIPTORS if descriptor >= self._descriptors.held else None

    def _surplus(self, tenant: Tenant, domain: str) -> Held | None:
        """The request that makes room for one of that domain; None where none has to."""
        heaviest = max(self._of_tenant, key=self._of_tenant.__getitem__, default=tenant)
        own = self._of_tenant[tenant]
        if self._of_tenant[heaviest] <= own + 1:
            heaviest = tenant
        domains = self._held.get(heaviest, {})
        most = max(domains.values(), key=len, default={})
        least = 0 if heaviest != tenant else self._of_domain[domain] + 1
        return next(reversed(most)) if len(most) > least else None

    def _count(self, tenant: Tenant, limit: Limit) -> None:
        self._turned_away += 1
        self._hits[tenant, limit] += 1

    def _add(self, held: Held) -> None:
        self._total += 1
        if held.domain == UNKNOWN_HOSTS:
            self._unknown += 1
            return
        self._held.setdefault(held.tenant, {}).setdefault(held.domain, {})[held] = None
        self._of_domain[held.domain] += 1
        self._of_tenant[held.tenant] += 1

    def _remove(self, held: Held) -> None:
        self._total -= 1
        if held.domain == UNKNOWN_HOSTS:
            self._unknown -= 1
            return
        domains = self._held[held.tenant]
        del domains[held.domain][held]
        self._of_domain[held.domain] -= 1
        self._of_tenant[held.tenant] -= 1
        if not domains[held.domain]:
            del domains[held.domain], self._of_domain[held.domain]
        if not domains:
            del self._held[held.tenant], self._of_tenant[held.tenant]
