"""Decides whose forks are refused early: apps and tenants that are at a limit on processes, and go
on forking.

The kernel asks the control group only after it has copied the memory of the process, and throws
the copy away if the group is full. That takes milliseconds of a core, in which nobody else runs
there. RLIMIT_NPROC refuses the fork before (kernel/fork.c: copy_process).

To refuse early takes a program, too, which is not of the tenant's share. So each time that a group
of a tenant has room again, it takes twice as many looks until one of that tenant's is next.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from emperor.model.cpu_shares import Patience

# A server at its limit tries again once in a second, or at each request.
_MANY_IN_A_SECOND = 10.0
# At the same time, by a program for each.
_MOST = 16


@dataclass(frozen=True, slots=True)
class Forks:
    """How many forks the kernel has refused a group until now, and whether the group has all the
    processes that it may have."""

    refused: int
    is_full: bool


@dataclass(frozen=True, slots=True)
class ForkingOn:
    """The groups that go on forking, by their names, and what leads there: what each group had been
    refused at the last look, at how many looks in a row that was much, and how many it takes for
    each tenant."""

    groups: frozenset[str] = frozenset()
    refused: Mapping[str, int] = field(default_factory=dict)
    looks: Mapping[str, int] = field(default_factory=dict)
    patience: Mapping[str, Patience] = field(default_factory=dict)

    def after(
        self, seconds: float, forks: Mapping[str, Forks], ending: Collection[str] = ()
    ) -> "ForkingOn":
        """The groups that go on forking after a further look, `seconds` after the one before. A
        group whose forks are refused early is one of these for as long as it has no room: nothing
        else tells what it tries then. The programs of the groups in `ending` have not ended yet."""
        looks = {
            group: self.looks.get(group, 0) + 1
            for group, now in forks.items()
            if now.is_full and self._since(group, now) >= _MANY_IN_A_SECOND * seconds
        }
        held = {group for group in self.groups if group in forks and forks[group].is_full}
        patience = self._patience(held)
        begin = sorted(
            group
            for group, number in looks.items()
            if number >= patience.get(_tenant(group), Patience()).needed
        )
        busy = held.union(ending)
        more = [group for group in begin if group not in busy][: max(0, _MOST - len(busy))]
        refused = {group: now.refused for group, now in forks.items()}
        return ForkingOn(frozenset([*held, *more]), refused, looks, patience)

    def _patience(self, held: Collection[str]) -> dict[str, Patience]:
        """How many looks it takes, with these as the only groups that still have no room."""
        were, have_room = (
            {_tenant(group) for group in groups}
            for groups in (self.groups, self.groups.difference(held))
        )
        return {
            tenant: self.patience.get(tenant, Patience()).after(tenant in were, tenant in have_room)
            for tenant in were | self.patience.keys()
        }

    def _since(self, group: str, now: Forks) -> int:
        return now.refused - self.refused.get(group, now.refused)


def _tenant(group: str) -> str:
    return group.partition("/")[0]
