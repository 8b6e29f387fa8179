"""Selects those of many rules that concern an ini, by the names of its options.

A rule is about a few options, and an ini has few. Thousands of inis have options of the same names,
so the selection is made once for all of them.
"""

from collections.abc import Collection, Hashable, Mapping
from functools import lru_cache
from typing import Generic, TypeVar

from emperor.uwsgi.ini import Ini

R = TypeVar("R", bound=Hashable)

# Each user of a machine may write options of any names.
_MOST_KEPT = 256


class RulesByName(Generic[R]):
    """Selects rules by the names of the options that each is about. A rule must find nothing in an
    ini that has none of these. A key of [emperor] has the name `of_emperor(key)`."""

    def __init__(self, rules: Mapping[R, Collection[str]]) -> None:
        self.rules = rules
        self._names = frozenset[str]().union(*rules.values())
        self._select = lru_cache(maxsize=_MOST_KEPT)(self._selected)

    def about(self, ini: Ini) -> tuple[R, ...]:
        """The rules that concern the ini, in their order."""
        # Names that no rule is about make no other selection.
        return self._select(self._names.intersection(ini.names))

    def _selected(self, names: frozenset[str]) -> tuple[R, ...]:
        return tuple(rule for rule, own in self.rules.items() if not names.isdisjoint(own))
