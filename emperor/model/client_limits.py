"""Decides which connections to control.sock are served, so that no tenant keeps others out."""

from collections import Counter
from dataclasses import dataclass

MOST_PER_TENANT = 32
# Requests of a tenant: how many at once without a wait, and then how many in a second.
BURST = 50
PER_SECOND = 5.0


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection that is served. A stranger is a user without a vassal."""

    uid: int
    is_stranger: bool


class ClientLimits:
    """Counts the connections of each tenant. Those of administrators are not counted. `most` is the
    limit for all tenants together. Strangers have half of it: one user can have thousands of uids
    (subuid(5)), and must not keep the tenants out with them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[int] = Counter()
        self._total = self._strangers = 0
        # The moment until which the requests of a tenant so far would take at PER_SECOND.
        self._busy_until: dict[int, float] = {}

    def take(self, uid: int, *, is_stranger: bool) -> Connection | None:
        """Count a connection of that user; None where it cannot be served."""
        if self._taken[uid] >= MOST_PER_TENANT or self._total >= self._most:
            return None
        if is_stranger and self._strangers >= self._most // 2:
            return None
        self._taken[uid] += 1
        self._total += 1
        self._strangers += is_stranger
        return Connection(uid, is_stranger)

    def leave(self, connection: Connection) -> None:
        """The connection has ended."""
        self._total -= 1
        self._strangers -= connection.is_stranger
        self._taken[connection.uid] -= 1
        if not self._taken[connection.uid]:
            del self._taken[connection.uid]

    def delay(self, uid: int, now: float) -> float:
        """How many seconds the next request of that user has to wait. `now` is in monotonic
        seconds."""
        end = max(self._busy_until.get(uid, now), now) + 1 / PER_SECOND
        self._busy_until[uid] = end
        return max(0.0, end - now - BURST / PER_SECOND)
