"""Whether the registry answers, and since when not. The log tells of changes alone.

Several parts of the daemon ask the registry. One may be answered while another is not: without a
quorum, for instance, a member answers a read, and no lease is renewed. So each of them tells what
came of its own questions, and the registry counts as reached while none of them fails.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from functools import partial

log = logging.getLogger("emperord.reachability")

# A registry that answers some questions and not others is not told as reached each time.
_STEADY_SECONDS = 2.0


class Asker(Enum):
    """Who asks the registry."""

    WATCH = "the watch on inis"
    MEMBERSHIP = "the registration of this backend"
    READS = "what visitors ask for"
    ONCE = "apps that must not run twice"


# These ask now and then only. The watch, which asks all the time, tells when they would be answered
# again; it needs a leader, as they do.
_OCCASIONAL = (Asker.READS, Asker.ONCE)


class Reachability:
    """Knows whether the registry answers each part that asks it. `clock` tells monotonic seconds,
    `now` the time of day, and `later` calls what it is given after some seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._clock = clock
        self._now = now
        self._later = later
        # Who was not answered, and when that was the last time.
        self._failed_at: dict[Asker, float] = {}
        # Who is answered again, and not for long yet.
        self._settling: set[Asker] = set()
        # It was not reached yet.
        self.unreached_since: datetime | None = now()
        self.why = "emperord has just started"

    @property
    def is_reached(self) -> bool:
        """Whether it answers."""
        return self.unreached_since is None

    def tell(self, asker: Asker, error: Exception | None) -> None:
        """A question was answered, or failed with this error."""
        if error is None:
            self._answered(asker)
            return
        was_told = bool(self._failed_at)
        self._failed_at[asker] = self._clock()
        self.why = str(error) or "it does not answer"
        if self.unreached_since is None:
            self.unreached_since = self._now()
        if not was_told:
            log.warning(
                "cannot use the registry: %s; what is on the disk is served on, and a host without"
                " an ini gets 503",
                self.why,
            )

    def _answered(self, asker: Asker) -> None:
        if not self._failed_at:
            self.unreached_since, self.why = None, ""
        for each in (asker, *(_OCCASIONAL if asker is Asker.WATCH else ())):
            if (failed_at := self._failed_at.get(each)) is not None:
                self._settle(each, failed_at)

    def _settle(self, asker: Asker, failed_at: float) -> None:
        """An asker is answered, after a failure at that time."""
        wait = failed_at + _STEADY_SECONDS - self._clock()
        if wait > 0:
            if asker not in self._settling:
                self._settling.add(asker)
                self._later(wait, partial(self._settled, asker, failed_at))
            return
        del self._failed_at[asker]
        if not self._failed_at:
            log.info("the registry is reached again")
            self.unreached_since, self.why = None, ""

    def _settled(self, asker: Asker, failed_at: float) -> None:
        self._settling.discard(asker)
        if self._failed_at.get(asker) == failed_at:
            self._settle(asker, failed_at)
