"""Decides which requests may be held and which are too many, and which log lines of a flood are
written."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from math import inf

from emperor.model.fd_budget import FdBudget
from emperor.model.settings import Settings

# All hosts without a vassal, which provisioning may give one, count as one domain here: a client
# can make up any number of names, and must not keep everybody else out with them.
UNKNOWN_HOSTS = ""
_UNKNOWN_SHARE = 8

# A burst ends when nothing came for this long.
QUIET_SECONDS = 60.0


class Limit(Enum):
    """The setting or limit that a rejected request ran into. An administrator can raise it."""

    DOMAIN = "max-held-per-domain"
    UNKNOWN_HOSTS = "an eighth of max-held"
    OVERALL = "max-held"
    DESCRIPTORS = "the limit on open files: raise LimitNOFILE= of the unit"


class Bursts:
    """Tells the first event of each burst from the others."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def begins(self, what: str, now: float) -> bool:
        """Whether this event is the first of a burst. `now` is in monotonic seconds."""
        last = self._last.get(what, -inf)
        self._last[what] = now
        return now - last > QUIET_SECONDS


class Admission:
    """Counts the requests that are held, in all and for each domain."""

    def __init__(self, settings: Settings, descriptors: FdBudget) -> None:
        self._most = settings.max_held or inf
        self._most_per_domain = settings.max_held_per_domain or inf
        self._most_unknown = self._most / _UNKNOWN_SHARE
        self._descriptors = descriptors
        self._held: Counter[str] = Counter()
        self._total = 0
        self._turned_away = 0

    @property
    def total(self) -> int:
        """How many are held."""
        return self._total

    @property
    def turned_away(self) -> int:
        """How many were rejected since the start."""
        return self._turned_away

    def held(self, domain: str) -> int:
        """How many are held for that domain."""
        return self._held[domain]

    def rejection(self, domain: str, descriptor: int) -> Limit | None:
        """Why a request for that domain cannot be held, or None. A rejected one is counted.
        `descriptor` is that of its connection."""
        bound = self._bound(domain, descriptor)
        self._turned_away += bound is not None
        return bound

    @contextmanager
    def holding(self, domain: str) -> Iterator[None]:
        """Count one as held."""
        self._held[domain] += 1
        self._total += 1
        try:
            yield
        finally:
            self._total -= 1
            self._held[domain] -= 1
            if not self._held[domain]:
                del self._held[domain]

    def _bound(self, domain: str, descriptor: int) -> Limit | None:
        if domain == UNKNOWN_HOSTS:
            if self._held[domain] >= self._most_unknown:
                return Limit.UNKNOWN_HOSTS
        elif self._held[domain] >= self._most_per_domain:
            return Limit.DOMAIN
        if self._total >= self._most:
            return Limit.OVERALL
        return Limit.DESCRIPTORS if descriptor >= self._descriptors.held else None
