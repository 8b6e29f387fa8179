"""Decides which ini may use which host names and sockets: the first one to claim it has it."""

from emperor.model.spec import Spec


class Claims:
    """Host names and sockets by the ini that holds them."""

    def __init__(self) -> None:
        self._hosts: dict[str, str] = {}
        self._sockets: dict[str, str] = {}

    def conflict(self, spec: Spec) -> str | None:
        """Why `spec` cannot be served beside the others, naming both inis; None when it can."""
        for host in (spec.domain, *spec.aliases):
            holder = self._hosts.get(host)
            if holder is not None and holder != spec.ini:
                return f"{spec.ini} claims the host {host}, which {holder} has; drop one of the two"
        for socket in spec.foreign_sockets:
            holder = self._sockets.get(socket)
            if holder is not None and holder != spec.ini:
                return f"{spec.ini} claims the socket {socket}, which {holder} has; change one"
        return None

    def take(self, spec: Spec) -> None:
        """Note the claims of `spec` in place of those of its earlier version."""
        if spec.aliases or spec.foreign_sockets or self._hosts.get(spec.domain):
            self.release(spec.ini)
        self._hosts |= dict.fromkeys((spec.domain, *spec.aliases), spec.ini)
        self._sockets |= dict.fromkeys(spec.foreign_sockets, spec.ini)

    def release(self, ini: str) -> None:
        """Free all that this ini holds."""
        for table in (self._hosts, self._sockets):
            for claim in [claim for claim, holder in table.items() if holder == ini]:
                del table[claim]
