"""Whether the registry answers, and since when not. The log tells of changes alone."""

import logging
from collections.abc import Callable
from datetime import datetime

log = logging.getLogger("emperord.reach")

# A registry that answers some questions and not others is not told as reached each time.
_STEADY_SECONDS = 2.0


class Reach:
    """`clock` tells monotonic seconds, `now` the time of day."""

    def __init__(self, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._clock = clock
        self._now = now
        self._failed_at: float | None = None
        # It was not reached yet.
        self.unreached_since: datetime | None = now()
        self.why = "emperord has just started"

    @property
    def is_reached(self) -> bool:
        """Whether it answers."""
        return self.unreached_since is None

    def tell(self, error: Exception | None) -> None:
        """A question was answered, or failed with this error."""
        if error is None:
            self._answered()
            return
        was_told = self._failed_at is not None
        self._failed_at, self.why = self._clock(), str(error)
        if self.unreached_since is None:
            self.unreached_since = self._now()
        if not was_told:
            log.warning(
                "cannot use the registry: %s; what is on the disk is served on, and a host without"
                " an ini gets 503",
                error,
            )

    def _answered(self) -> None:
        failed_at = self._failed_at
        if failed_at is not None and self._clock() - failed_at < _STEADY_SECONDS:
            return
        if failed_at is not None:
            log.info("the registry is reached again")
        self._failed_at, self.unreached_since, self.why = None, None, ""
