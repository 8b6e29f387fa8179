"""Decides which ini may use which host names and sockets: the first one to claim it has it."""

from collections.abc import Iterable
from dataclasses import dataclass

from emperor.model.spec import Spec


@dataclass(frozen=True, slots=True)
class Conflict:
    """`holder` is the ini that has what another one claims; `why` names both, and `why_unnamed`
    only the one that claims it."""

    holder: str
    why: str
    why_unnamed: str


class Claims:
    """Host names and sockets by the ini that holds them.

    No operation looks at the claims of all inis: there may be thousands.
    """

    def __init__(self) -> None:
        self._hosts: dict[str, str] = {}
        self._sockets: dict[str, str] = {}
        # The last spec of each ini that holds more than its domain.
        self._larger: dict[str, Spec] = {}

    def conflict(self, spec: Spec) -> str | None:
        """Why `spec` cannot be served beside the others, naming both inis; None when it can."""
        conflict = self.first_conflict(spec)
        return None if conflict is None else conflict.why

    def first_conflict(self, spec: Spec) -> Conflict | None:
        """The first of its claims that another ini has; None when no other has any."""
        for host in (spec.domain, *spec.aliases):
            holder = self._hosts.get(host)
            if holder is not None and holder != spec.ini:
                return _conflict(spec, f"the host {host}", holder, "drop one of the two")
        for socket in spec.foreign_sockets:
            holder = self._sockets.get(socket)
            if holder is not None and holder != spec.ini:
                return _conflict(spec, f"the socket {socket}", holder, "change one")
        return None

    def take(self, spec: Spec) -> None:
        """Note the claims of `spec` in place of those of its earlier version."""
        self.release(spec)
        self._hosts |= dict.fromkeys((spec.domain, *spec.aliases), spec.ini)
        self._sockets |= dict.fromkeys(spec.foreign_sockets, spec.ini)
        if spec.aliases or spec.foreign_sockets:
            self._larger[spec.ini] = spec

    def release(self, spec: Spec) -> None:
        """Free what the ini of `spec` holds by its last version that was noted here."""
        held = self._larger.pop(spec.ini, spec)
        _free(self._hosts, (spec.domain, *held.aliases), spec.ini)
        _free(self._sockets, held.foreign_sockets, spec.ini)


def _conflict(spec: Spec, claim: str, holder: str, cure: str) -> Conflict:
    begin = f"{spec.ini} claims {claim}, which"
    return Conflict(
        holder, f"{begin} {holder} has; {cure}", f"{begin} an app of another user has; drop it"
    )


def _free(table: dict[str, str], claims: Iterable[str], ini: str) -> None:
    for claim in claims:
        if table.get(claim) == ini:
            del table[claim]
