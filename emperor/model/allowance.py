"""Decides when the daemon looks again at what may come without end, such as the bytes of an app."""

from dataclasses import dataclass


class Allowance:
    """A token bucket: `burst` looks at once, and then `per_second`."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst_seconds = burst / per_second
        self._each = 1 / per_second
        # The moment until which the looks so far would take at `per_second`.
        self._busy_until = 0.0

    def take(self, now: float) -> float:
        """Note a look. Returns how many seconds the next one has to wait. `now` is in monotonic
        seconds."""
        self._busy_until = max(self._busy_until, now) + self._each
        return max(0.0, self._busy_until + self._each - now - self._burst_seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """A share of a core, for looks that many wait for. So they come soon after each other while
    they cost little. `most_seconds` is the longest wait, whatever a look has cost."""

    share: float
    most_seconds: float

    def rest(self, spent: float) -> float:
        """How many seconds the next look waits after one that took so many seconds of the CPU."""
        return min(self.most_seconds, spent * (1 / self.share - 1))
