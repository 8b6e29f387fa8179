"""Follows what a fleet says of an app that must not run twice: it boots, stops, or is back."""

from emperor.model.cause import Cause
from emperor.model.lifecycle import RESTS, Event, State
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Occurrence


class GovernorPermission:
    """What model/permits.Permits has found out, for the governor."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor

    def permit(self, domain: str) -> None:
        """The app may run on this machine from now on: it boots if it waits for that."""
        vassal = self._governor.vassals.get(domain)
        if vassal and vassal.queued_for and vassal.state in (State.STARTING, State.RELOADING):
            why = "it may run on this machine now"
            self._governor.handle(Occurrence(vassal, Event.TURN, vassal.queued_for, why))

    def forbid(self, domain: str, why: str) -> None:
        """The app may not run on this machine any more."""
        if vassal := self._governor.vassals.get(domain):
            vassal.note_failure_of_orders(why)
            cause = Cause(why, self._governor.now())
            self._governor.handle(Occurrence(vassal, Event.IDLE, cause))

    def want_again(self, domain: str, why: str) -> None:
        """What forbade an app is over: it boots if it never sleeps."""
        vassal = self._governor.vassals.get(domain)
        if vassal and vassal.spec.never_sleeps and vassal.state in RESTS:
            cause = Cause.always(why, self._governor.now())
            self._governor.handle(Occurrence(vassal, Event.DEMAND, cause))

    def since_visitor(self, domain: str) -> float | None:
        """Seconds since the last hit or connection; None: there was none."""
        if (vassal := self._governor.vassals.get(domain)) is None:
            return None
        now, seconds = self._governor.now(), []
        if vassal.last_hit is not None:
            seconds.append(now - vassal.last_hit)
        if (connected := vassal.listener.last_connect()) is not None:
            seconds.append(self._governor.wall(now).timestamp() - connected)
            # The kernel notes only the first one after each look.
            vassal.listener.note_next_connect()
        return min(seconds, default=None)
