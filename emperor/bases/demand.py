"""Which homes have so many apps that a base is worth it, and what these apps import."""

import asyncio
import os
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from math import inf
from typing import TypeVar

from emperor.bases.request import Home, Sharing

K = TypeVar("K")
V = TypeVar("V")

# Their names must fit into one message, and so must the reasons for which they are left out.
_MOST_MODULES = 2500
# So many apps of one home make its base worth its memory.
_ENOUGH_APPS = 2
# A base imports what these have imported that started last.
_MOST_APPS = 8
# They import so many modules that the first base does not have, or an app so many that its base
# does not have.
_ENOUGH_MODULES = 10
# Homes of which the apps are remembered.
_MOST_HOMES = 10_000

# The modules that an app of that user had imported when it started last, except those that are its
# own.
ModulesOf = Callable[[str, int], Sequence[str]]


class Demand:
    """The apps that have started of each home. `modules_of` is None where nothing is imported ahead
    but the standard library."""

    def __init__(self, modules_of: ModulesOf | None, loop: asyncio.AbstractEventLoop) -> None:
        self._modules_of = modules_of
        self._loop = loop
        # When the latest apps of each home have started.
        self._apps: dict[Home, dict[str, float]] = {}
        self._not_before: dict[Home, float] = {}

    @property
    def is_heard(self) -> bool:
        """Whether there are bases of homes at all."""
        return self._modules_of is not None

    def note(self, sharing: Sharing) -> None:
        """An app of that home starts."""
        apps = self._apps.setdefault(sharing.home, {})
        apps.pop(sharing.domain, None)
        apps[sharing.domain] = self._loop.time()
        keep_latest(apps, _MOST_APPS)
        keep_latest(self._apps, _MOST_HOMES)

    def is_enough(self, home: Home) -> bool:
        """Whether so many apps of it have started that a base is worth its memory."""
        return len(self._apps.get(home, ())) >= _ENOUGH_APPS

    def may_ask(self, home: Home) -> bool:
        """Whether a base may be made for it at this moment."""
        return self._loop.time() >= self._not_before.get(home, -inf)

    def put_off(self, home: Home, seconds: float) -> None:
        """Have no base made for it for so long."""
        self._not_before[home] = self._loop.time() + seconds
        keep_latest(self._not_before, _MOST_HOMES)

    def modules(self, home: Home, since: float = -inf) -> list[str]:
        """The modules that its latest apps have imported, or those that have started since then. If
        they are too many, the largest app lacks some."""
        if self._modules_of is None:
            return []
        user = home.user.uid if home.user else os.geteuid()
        apps = [app for app, at in self._apps.get(home, {}).items() if at >= since]
        lists = sorted((self._modules_of(app, user) for app in apps), key=len)
        return [*dict.fromkeys(chain.from_iterable(lists))][:_MOST_MODULES]

    def wanted(self, home: Home, before: Sequence[str]) -> list[str]:
        """What the next base of a home imports whose base was asked for the modules `before`: what
        its apps import, if several are known."""
        modules = self.modules(home)
        all_known = modules if self.is_enough(home) else [*dict.fromkeys([*before, *modules])]
        return all_known[:_MOST_MODULES]


def are_few(modules: Sequence[str], there: Collection[str], of_root: Collection[str]) -> bool:
    """Whether a base that was asked for the modules `there` would gain little by these."""
    return len({*modules}.difference(there, of_root)) < _ENOUGH_MODULES


def keep_latest(noted: dict[K, V], most: int) -> None:
    """Forget the first of them if there are more."""
    if len(noted) > most:
        del noted[next(iter(noted))]
