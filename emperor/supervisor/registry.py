"""Who is here: each vassal under its domain, and under the further host names that it has."""

import logging
from collections.abc import Callable, Iterable, Iterator

from emperor.model.lifecycle import State
from emperor.supervisor.records import Vassal

log = logging.getLogger("emperord")


class Registry:
    """The governor adds and removes; everybody else may look."""

    def __init__(self) -> None:
        self._vassals: dict[str, Vassal] = {}
        self._aliases: dict[str, str] = {}

    def __iter__(self) -> Iterator[Vassal]:
        """All that there are now, whatever comes or goes meanwhile."""
        return iter(tuple(self._vassals.values()))

    def __len__(self) -> int:
        return len(self._vassals)

    def __getitem__(self, domain: str) -> Vassal:
        return self._vassals[domain]

    def get(self, domain: str) -> Vassal | None:
        """The vassal of that domain, also one that is about to be gone."""
        return self._vassals.get(domain)

    def serving(self, host: str) -> Vassal | None:
        """The vassal that answers for a host name: its domain, or one of its aliases."""
        vassal = self._vassals.get(self._aliases.get(host, host))
        return None if vassal is None or vassal.state is State.REMOVED else vassal

    def add(self, vassal: Vassal) -> None:
        """It is here from now on, under the names of its spec."""
        self._vassals[vassal.spec.domain] = vassal
        self._aliases |= dict.fromkeys(vassal.spec.aliases, vassal.spec.domain)

    def drop_aliases(self, vassal: Vassal) -> None:
        """Its domain alone leads to it, until it is added again."""
        for alias in vassal.spec.aliases:
            self._aliases.pop(alias, None)

    def remove(self, vassal: Vassal) -> bool:
        """It is here no longer. Whether it was."""
        if self._vassals.pop(vassal.spec.domain, None) is None:
            return False
        self.drop_aliases(vassal)
        return True


def for_each(vassals: Iterable[Vassal], act: Callable[[Vassal], None]) -> list[Vassal]:
    """Act on all of them. What goes wrong with one is no matter of the others; it is logged, and
    those with whom it did are returned."""
    failed = []
    for vassal in vassals:
        try:
            act(vassal)
        except Exception:
            log.exception("%s: a fault in emperord; the others go on", vassal.spec.domain)
            failed.append(vassal)
    return failed
