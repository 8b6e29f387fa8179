"""Delays the next start of an app that has failed."""

from collections.abc import Callable

from emperor.model.policy import throttle_seconds
from emperor.model.ports import Clock
from emperor.model.settings import Settings
from emperor.supervisor.records import Vassal


class Throttle:
    """Counts failures in a row. `chance` spreads the delays."""

    def __init__(self, settings: Settings, clock: Clock, chance: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance

    def begin(self, vassal: Vassal) -> float:
        """Note one more failure. Returns the seconds until the vassal may be started again."""
        vassal.consecutive_failures += 1
        delay = throttle_seconds(
            vassal.consecutive_failures,
            self._settings.throttle_first,
            self._settings.throttle_max,
            self._chance(),
        )
        vassal.retry_at = self._clock.time() + delay
        return delay
