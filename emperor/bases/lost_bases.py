"""The bases of homes that have ended with an earlier daemon: made anew one after the other, since
they take a core and nobody waits for them."""

from collections import deque
from collections.abc import Callable, Sequence

from emperor.bases.home_base import HomeBase
from emperor.bases.request import Sharing

# The base of that home, of these modules; None where none is made.
Make = Callable[[Sharing, Sequence[str]], HomeBase | None]


class LostBases:
    """Those that are not there again. `may_make` says whether one may be made at this moment."""

    def __init__(self, make: Make, may_make: Callable[[], bool]) -> None:
        self._make = make
        self._may_make = may_make
        self._left: deque[tuple[Sharing, Sequence[str]]] = deque()
        self._made: HomeBase | None = None

    def add(self, sharing: Sharing, modules: Sequence[str]) -> None:
        """One more."""
        self._left.append((sharing, modules))

    def make_next(self) -> None:
        """Make one, unless one is being made."""
        while self._made is None and self._left and self._may_make():
            self._made = self._make(*self._left.popleft())

    def is_over(self, base: HomeBase) -> None:
        """That base can fork, or has ended. If it was made here, the next one is made."""
        if base is self._made:
            self._made = None
            self.make_next()
