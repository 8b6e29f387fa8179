"""Callbacks for changes of a vassal: of held requests, of provisioning, of a stop."""

import logging
from collections.abc import Callable

log = logging.getLogger("emperord.subscribers")


class Subscribers:
    """Callbacks by domain, also of domains that have no vassal yet."""

    def __init__(self) -> None:
        self._callbacks: dict[str, set[Callable[[], None]]] = {}

    def add(self, domain: str, wake: Callable[[], None]) -> None:
        """Call `wake` after every change of that domain's vassal, until `remove`."""
        self._callbacks.setdefault(domain, set()).add(wake)

    def remove(self, domain: str, wake: Callable[[], None]) -> None:
        """Undo `add`."""
        callbacks = self._callbacks.get(domain, set())
        callbacks.discard(wake)
        if not callbacks:
            self._callbacks.pop(domain, None)

    def count(self, domain: str) -> int:
        """How many subscribers that domain has."""
        return len(self._callbacks.get(domain, ()))

    def notify(self, domain: str) -> None:
        """Tell all who wait that the vassal of that domain has changed."""
        for wake in tuple(self._callbacks.get(domain, ())):
            try:
                wake()
            except Exception:
                # The others wait for that too.
                log.exception("cannot tell a subscriber of %s: a fault in emperord", domain)
