"""Decides which ini may use which host names and sockets.

An ini has the host of its own name, whatever others name as an alias. Of two inis with the same
alias, the first one has it. Of two with the same socket, the one with the better `Right` has it,
and else the first one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from emperor.model.spec import Spec


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """What decides between two inis with the same socket, in this order: whether the user of the
    app may bind it, whether that is root, and whether the app has served by this version."""

    may_bind: bool
    is_root: bool
    has_served: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """A conflict of two inis. `holder` is the ini that has the `claim` of another one: a host or a
    socket. `why` names both inis, and `why_unnamed` only the one that claims it."""

    claim: str
    holder: str
    is_host: bool
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
        """Why `spec` cannot be served beside the others as it is, naming both inis; None when it
        can."""
        return next((conflict.why for conflict in self.each(spec)), None)

    def each(self, spec: Spec) -> Iterator[Conflict]:
        """Each claim that another ini has. A conflict of hosts costs an alias, and no more."""
        hosts = self._of_hosts(spec, (spec.domain, *spec.aliases))
        yield from chain(hosts, self._of_sockets(spec))

    def conflicts(self, spec: Spec) -> Iterator[Conflict]:
        """Each of its claims beside aliases that another ini has."""
        yield from self._of_hosts(spec, (spec.domain,))
        yield from self._of_sockets(spec)

    def without_taken(self, spec: Spec) -> Spec:
        """`spec` without the aliases that another ini has."""
        if not spec.aliases:
            return spec
        taken = tuple(
            alias for alias in spec.aliases if self._hosts.get(alias, spec.ini) != spec.ini
        )
        return without_aliases(spec, taken) if taken else spec

    def holder(self, host: str) -> str | None:
        """The ini that has the host."""
        return self._hosts.get(host)

    def take(self, spec: Spec) -> None:
        """Note the claims of `spec` in place of those of its earlier version."""
        is_larger = spec.aliases or spec.foreign_sockets or spec.ini in self._larger
        if not is_larger:
            self._hosts[spec.domain] = spec.ini
            return
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

    def _of_hosts(self, spec: Spec, hosts: Iterable[str]) -> Iterator[Conflict]:
        for host in hosts:
            holder = self._hosts.get(host)
            if holder is not None and holder != spec.ini:
                yield _conflict(spec, host, holder, is_host=True)

    def _of_sockets(self, spec: Spec) -> Iterator[Conflict]:
        for socket in spec.foreign_sockets:
            holder = self._sockets.get(socket)
            if holder is not None and holder != spec.ini:
                yield _conflict(spec, socket, holder, is_host=False)


def without_aliases(spec: Spec, taken: Iterable[str]) -> Spec:
    """`spec` with these of its aliases as taken ones."""
    lost = tuple(taken)
    return replace(
        spec,
        aliases=tuple(alias for alias in spec.aliases if alias not in lost),
        taken_aliases=(*spec.taken_aliases, *lost),
    )


def told_of_aliases(spec: Spec) -> str | None:
    """What an administrator is told of aliases that another ini has; None if there are none."""
    if not spec.taken_aliases:
        return None
    names = ", ".join(spec.taken_aliases)
    return f"not served for {names}, which another ini has: drop the alias, or the other ini"


def _conflict(spec: Spec, claim: str, holder: str, *, is_host: bool) -> Conflict:
    kind, cure = ("host", "drop one of the two") if is_host else ("socket", "change one")
    begin = f"{spec.ini} claims the {kind} {claim}, which"
    return Conflict(
        claim, holder, is_host, f"{begin} {holder} has; {cure}",
        f"{begin} an app of another user has; drop it",
    )  # fmt: skip


def _free(table: dict[str, str], claims: Iterable[str], ini: str) -> None:
    for claim in claims:
        if table.get(claim) == ini:
            del table[claim]
