"""All vassals, each by its domain and by its further host names."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from emperor.model.lifecycle import State
from emperor.model.log_fields import about
from emperor.model.ports import CannotLaunch
from emperor.supervisor.records import Vassal

log = logging.getLogger("emperord.vassals")

# What a person is told who waits for what has failed so.
FAULT = "a fault in emperord; its log has the traceback"


class Vassals:
    """All vassals, by domain and by alias. Only the governor adds and removes."""

    def __init__(self) -> None:
        self._vassals: dict[str, Vassal] = {}
        self._aliases: dict[str, str] = {}
        # Made when somebody asks for it, and forgotten at the next change.
        self._by_owner: dict[int | None, list[Vassal]] | None = None
        # How many vassals each user has. Another user means another vassal (sources/intake).
        self._owners: Counter[int | None] = Counter()

    def __iter__(self) -> Iterator[Vassal]:
        """The vassals of this moment, whatever is added or removed meanwhile."""
        return iter(tuple(self._vassals.values()))

    def __len__(self) -> int:
        return len(self._vassals)

    def __getitem__(self, domain: str) -> Vassal:
        return self._vassals[domain]

    def get(self, domain: str) -> Vassal | None:
        """The vassal of that domain, also while it is being removed."""
        return self._vassals.get(domain)

    def serving(self, host: str) -> Vassal | None:
        """The vassal that answers for a host name: its domain, or one of its aliases."""
        vassal = self._vassals.get(self._aliases.get(host, host))
        return None if vassal is None or vassal.state is State.REMOVED else vassal

    @property
    def has_several_owners(self) -> bool:
        """Whether the vassals run as more than one user."""
        return len(self._owners) > 1

    def number_of(self, owner: int | None) -> int:
        """How many vassals run as that user; None: as that of the daemon."""
        return self._owners[owner]

    def owned_by(self, uid: int) -> Sequence[Vassal]:
        """The vassals that run as that user, also those that are being removed."""
        if self._by_owner is None:
            self._by_owner = {}
            for vassal in self._vassals.values():
                self._by_owner.setdefault(vassal.spec.owner, []).append(vassal)
        return tuple(self._by_owner.get(uid, ()))

    def written_logs(self) -> set[str]:
        """The logs that apps of tenants write now."""
        children = (child for vassal in self for child in vassal.children if child.spec.owner)
        return {child.process.ref.log for child in children}

    def add(self, vassal: Vassal) -> None:
        """Find the vassal by the names of its spec from now on."""
        self._by_owner = None
        if vassal.spec.domain not in self._vassals:
            self._owners[vassal.spec.owner] += 1
        self._vassals[vassal.spec.domain] = vassal
        for alias in vassal.spec.aliases:
            self._aliases[alias] = vassal.spec.domain

    def drop_aliases(self, vassal: Vassal) -> None:
        """Find the vassal by its domain alone, until it is added again."""
        for alias in vassal.spec.aliases:
            self._aliases.pop(alias, None)

    def remove(self, vassal: Vassal) -> bool:
        """Forget the vassal. Returns whether it was there."""
        self._by_owner = None
        if self._vassals.pop(vassal.spec.domain, None) is None:
            return False
        self._owners[vassal.spec.owner] -= 1
        self._owners += Counter()
        self.drop_aliases(vassal)
        return True


def log_fault(vassal: Vassal) -> None:
    """Log the exception that is being handled as a fault that stops at this vassal."""
    domain = vassal.spec.domain
    log.exception("%s: a fault in emperord; the others go on", domain, extra=about(domain))


def why_not_started(vassal: Vassal, error: Exception) -> str:
    """Why a process of the vassal could not be started, in words. A fault of emperord is logged."""
    if isinstance(error, CannotLaunch):
        return str(error)
    log_fault(vassal)
    return FAULT


def for_each(vassals: Iterable[Vassal], act: Callable[[Vassal], None]) -> list[Vassal]:
    """Act on all vassals. A fault in one is logged and leaves the others alone. Returns the vassals
    that had one."""
    failed = []
    for vassal in vassals:
        try:
            act(vassal)
        except Exception:
            log_fault(vassal)
            failed.append(vassal)
    return failed
