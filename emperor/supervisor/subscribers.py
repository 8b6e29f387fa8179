"""Who waits for a vassal to change: held requests, orders, whoever wants to see it go."""

from collections.abc import Callable


class Subscribers:
    """Callbacks by domain, also of domains that have no vassal yet."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[Callable[[], None]]] = {}

    def add(self, domain: str, wake: Callable[[], None]) -> None:
        """Call `wake` after every change of that domain's vassal, until `remove`."""
        self._waiters.setdefault(domain, set()).add(wake)

    def remove(self, domain: str, wake: Callable[[], None]) -> None:
        """Undo `add`."""
        waiters = self._waiters.get(domain, set())
        waiters.discard(wake)
        if not waiters:
            self._waiters.pop(domain, None)

    def count(self, domain: str) -> int:
        """How many wait for that domain's vassal."""
        return len(self._waiters.get(domain, ()))

    def notify(self, domain: str) -> None:
        """That domain's vassal has changed."""
        for wake in tuple(self._waiters.get(domain, ())):
            wake()
