"""The line about all vassals that `systemctl status` shows."""

from collections import Counter
from collections.abc import Callable, Sized

from emperor.model.lifecycle import State
from emperor.model.ports import Clock, Timer
from emperor.model.status import TransitionEvent, reported
from emperor.supervisor.vassals import Vassals

_DELAY_SECONDS = 1.0


class StatusLine:
    """Counts `vassals` and the inis `refused`, and calls `tell` with the line."""

    def __init__(
        self, vassals: Vassals, refused: Sized, clock: Clock, tell: Callable[[str], None]
    ) -> None:
        self._vassals = vassals
        self._refused = refused
        self._clock = clock
        self._tell = tell
        self._timer: Timer | None = None

    def tell_soon(self, _event: TransitionEvent | None = None) -> None:
        """Tell the line within a second, once for all that changes until then."""
        if self._timer is None:
            self._timer = self._clock.call_later(_DELAY_SECONDS, self.tell)

    def tell(self) -> None:
        """Tell the line now."""
        self.cancel()
        states = [vassal.state for vassal in self._vassals]
        counted = Counter[str]()
        for state in State:  # a Counter of all of them takes ten times as long
            counted[reported(state).value] += states.count(state)
        told = [f"{number} {state}" for state, number in counted.most_common() if number]
        if refused := len(self._refused):
            told.append(f"{refused} inis not served")
        self._tell(", ".join(told) or "no vassals")

    def cancel(self) -> None:
        """Tell nothing more, until it is asked for again."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
