"""Decides when an ini that changes all the time is read again.

A file has a credit of seconds, which reading it takes, and which grows again with time. So a storm
of changes costs its author a wait, and the daemon a small part of its time.
"""

# Some twenty readings of an ordinary ini in a row, or three of a very large one.
_CREDIT_SECONDS = 1.0
# Of each second of time.
_GROWTH = 0.05
# The stat(2), the log line and the event of a reading, and what the app then does.
_LEAST_SECONDS = 0.05
# A machine may be busy, or uWSGI may hang: a file waits for ten seconds at most.
_MOST_SECONDS = 0.5


class ReadingBudget:
    """The credit of each file that was read lately."""

    def __init__(self) -> None:
        # The credit, and since when it grows, in monotonic seconds.
        self._credits: dict[str, tuple[float, float]] = {}

    def __contains__(self, file: str) -> bool:
        """Whether the file was read lately, and may have to wait."""
        return file in self._credits

    def wait(self, file: str, now: float) -> float:
        """How many seconds are left until the file may be read."""
        credit = self._credit(file, now)
        return 0.0 if credit >= 0 else -credit / _GROWTH

    def spend(self, file: str, seconds: float, now: float) -> None:
        """Note how long it took to read the file."""
        cost = min(max(_LEAST_SECONDS, seconds), _MOST_SECONDS)
        self._credits[file] = self._credit(file, now) - cost, now

    def forget_full(self, now: float) -> None:
        """Keep nothing of files that have not changed for some time."""
        full = [file for file in self._credits if self._credit(file, now) >= _CREDIT_SECONDS]
        for file in full:
            del self._credits[file]

    def _credit(self, file: str, now: float) -> float:
        credit, since = self._credits.get(file, (_CREDIT_SECONDS, now))
        return min(_CREDIT_SECONDS, credit + (now - since) * _GROWTH)
