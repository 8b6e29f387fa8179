"""What the governor asks of a fleet, which apps may run on this machine, and what it is told."""

from collections.abc import Collection
from typing import Protocol

from emperor.model.snapshot import ProcessRef
from emperor.model.spec import Spec


class Permits(Protocol):
    """Which apps may have a process on this machine now, where a fleet has several."""

    def has(self, spec: Spec) -> bool:
        """Whether a process of this app may boot. If not, that is found out, and `Governor.permit`
        or `Governor.forbid` follows."""

    def settled(self, spec: Spec, processes: Collection[ProcessRef], *, waits: bool) -> None:
        """An app has these processes now; `waits`: it waits for its turn to boot."""

    def why_not(self, domain: str) -> str | None:
        """Why an app may not run here; None: it may, or nobody knows yet."""

    def turned_away(self, domain: str) -> None:
        """A visitor was told that an app does not run here."""


class NoFleet:
    """A machine of its own: every app may run."""

    def has(self, _spec: Spec) -> bool:
        """Every app may boot."""
        return True

    def settled(self, _spec: Spec, _processes: Collection[ProcessRef], *, waits: bool) -> None:
        """No other machine needs to know."""

    def why_not(self, _domain: str) -> str | None:
        """Nothing keeps an app from running."""
        return None

    def turned_away(self, _domain: str) -> None:
        """No visitor is turned away for this reason."""


class Permission(Protocol):
    """What is told to the supervisor."""

    def permit(self, domain: str) -> None:
        """The app may run here."""

    def forbid(self, domain: str, why: str) -> None:
        """The app may not run here any more."""

    def want_again(self, domain: str, why: str) -> None:
        """What kept the app from running here is over."""

    def since_visitor(self, domain: str) -> float | None:
        """Seconds since somebody last wanted the app here; None: nobody has."""
