"""The bases of homes that have ended with an earlier daemon, or are outdated: made anew one after
the other, since they take a core and nobody waits for them."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from emperor.bases.base_group import Groups, group_of_base
from emperor.bases.home_base import HomeBase
from emperor.bases.kept_base import Recipe
from emperor.bases.request import Sharing
from emperor.linux.accounts import Registered
from emperor.model.spec import Identity

# The base of that home, of these modules; None where none is made.
Make = Callable[[Sharing, Sequence[str]], HomeBase | None]


class LostBases:
    """Makes the bases that are not there again, one after the other. `may_make` says whether one
    may be made at this moment."""

    def __init__(self, make: Make, may_make: Callable[[], bool]) -> None:
        self._make = make
        self._may_make = may_make
        self._registered = Registered()
        self._left: deque[tuple[Sharing, Sequence[str]]] = deque()
        self._made: HomeBase | None = None

    def add(self, recipe: Recipe, groups: Groups) -> None:
        """Note one more base, unless the number of its user is another's by now: no app has started
        that has been asked for that."""
        user = recipe.home.user
        if user is None or not groups.can_make:
            return
        if not self._registered.why_another(Identity(user.uid, user.gid, user.name)):
            self._left.append((sharing_of(recipe, groups), recipe.modules))

    def note(self, base: HomeBase) -> None:
        """Note a base that is to be made anew."""
        if not any(sharing.home == base.sharing.home for sharing, _ in self._left):
            self._left.append((base.sharing, base.modules))

    def make_again(self, base: HomeBase) -> None:
        """Make such a base as soon as it is its turn."""
        self.note(base)
        self.make_next()

    def make_next(self) -> None:
        """Make one, unless one is being made."""
        while self._made is None and self._left and self._may_make():
            self._made = self._make(*self._left.popleft())

    def is_over(self, base: HomeBase) -> None:
        """The base can fork, or is ended. If it was made here, the next one is made."""
        if base is self._made:
            self._made = None
            self.make_next()


def sharing_of(recipe: Recipe, groups: Groups) -> Sharing:
    """What is needed to make a base again that an earlier daemon had."""
    user = recipe.home.user
    group = partial(group_of_base, groups, user.uid if user else os.geteuid())
    return Sharing(recipe.home, "", recipe.environment, recipe.limits, group)
