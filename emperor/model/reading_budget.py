"""Decides when an ini that changes all the time is read again.

A file has a credit of seconds, which reading it takes, and which grows again with time. So a storm
of changes costs its author a wait, and the daemon a small part of its time. A tenant with many
files has one credit for all that were read a moment ago. The first reading of each is free: an
administrator may change thousands.
"""

_ROOT = 0

# Some twenty readings of an ordinary ini in a row, or three of a very large one.
_CREDIT_SECONDS = 1.0
# Of each second of time.
_GROWTH = 0.05
# The stat(2), the log line and the event of a reading, and what the app then does.
_LEAST_SECONDS = 0.05
# A machine may be busy, or uWSGI may hang: a file waits for ten seconds at most.
_MOST_SECONDS = 0.5
# Of all files of a tenant: a hundred readings in a row, and five a second.
_EACH_SECONDS, _IN_A_ROW_SECONDS = 0.2, 20.0
# A file that waits for others of its tenant is read once a minute at least.
_LONGEST_REST_SECONDS = 60.0


class ReadingBudget:
    """The credit of each file that was read lately."""

    def __init__(self) -> None:
        # The credit, and since when it grows, in monotonic seconds.
        self._credits: dict[str, tuple[float, float]] = {}
        # Until when the readings of each tenant would take, were there five a second.
        self._busy_until: dict[int, float] = {}
        # The files that wait, and those that have waited.
        self._resting: set[str] = set()
        self._rested: set[str] = set()

    def __contains__(self, file: str) -> bool:
        """Whether the file was read lately, and may have to wait."""
        return file in self._credits

    def wait(self, file: str, now: float) -> float:
        """How many seconds are left until the file may be read."""
        credit = self._credit(file, now)
        return 0.0 if credit >= 0 else -credit / _GROWTH

    def turn(self, file: str, tenant: int | None, now: float) -> float | None:
        """In how many seconds a file of that user's may be read; 0: now. The caller calls `end` by
        then. None: it waits already. A file that is no tenant's any more (`tenant` is None) waits
        for no others."""
        if file in self._resting and tenant is not None:
            return None
        if file in self._rested:
            self._rested.discard(file)
            return 0.0
        wait = max(self.wait(file, now), self._wait_of_tenant(tenant, now))
        if wait:
            self._resting.add(file)
        return wait

    def _wait_of_tenant(self, tenant: int | None, now: float) -> float:
        if tenant in (None, _ROOT):
            return 0.0
        earliest = now - _IN_A_ROW_SECONDS
        busy_until = max(self._busy_until.get(tenant, earliest), earliest) + _EACH_SECONDS
        self._busy_until[tenant] = min(busy_until, now + _LONGEST_REST_SECONDS)
        return max(0.0, self._busy_until[tenant] - now)

    def end(self, file: str) -> None:
        """The file has waited for its turn."""
        self._resting.discard(file)
        self._rested.add(file)

    def spend(self, file: str, seconds: float, now: float) -> None:
        """Note how long it took to read the file."""
        cost = min(max(_LEAST_SECONDS, seconds), _MOST_SECONDS)
        self._credits[file] = self._credit(file, now) - cost, now

    def forget_full(self, now: float) -> None:
        """Keep nothing of files that have not changed for some time."""
        full = {file for file in self._credits if self._credit(file, now) >= _CREDIT_SECONDS}
        for file in full - self._resting:
            del self._credits[file]
        self._rested.intersection_update(self._credits)
        for tenant, until in [*self._busy_until.items()]:
            if until <= now - _IN_A_ROW_SECONDS:
                del self._busy_until[tenant]

    def _credit(self, file: str, now: float) -> float:
        credit, since = self._credits.get(file, (_CREDIT_SECONDS, now))
        return min(_CREDIT_SECONDS, credit + (now - since) * _GROWTH)
