"""Decides whose forks are refused early: apps and tenants that are at a limit on processes, and go
on forking.

The kernel asks the control group only after it has copied the memory of the process, and throws
the copy away if the group is full. That takes milliseconds of a core, in which nobody else runs
there. RLIMIT_NPROC refuses the fork before (kernel/fork.c: copy_process).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# A server at its limit tries again once in a second, or at each request.
_MANY_IN_A_SECOND = 10.0
_LOOKS = 2
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
    refused at the last look, and at how many looks in a row that was much."""

    groups: frozenset[str] = frozenset()
    refused: Mapping[str, int] = field(default_factory=dict)
    looks: Mapping[str, int] = field(default_factory=dict)

    def after(self, seconds: float, forks: Mapping[str, Forks]) -> "ForkingOn":
        """The same after a further look, `seconds` after the one before. A group whose forks are
        refused early is one of these for as long as it has no room: nothing else tells what it
        tries then."""
        looks = {
            group: self.looks.get(group, 0) + 1
            for group, now in forks.items()
            if now.is_full and self._since(group, now) >= _MANY_IN_A_SECOND * seconds
        }
        held = {group for group in self.groups if group in forks and forks[group].is_full}
        begin = sorted(group for group, number in looks.items() if number >= _LOOKS)
        more = [group for group in begin if group not in held][: _MOST - len(held)]
        refused = {group: now.refused for group, now in forks.items()}
        return ForkingOn(frozenset([*held, *more]), refused, looks)

    def _since(self, group: str, now: Forks) -> int:
        return now.refused - self.refused.get(group, now.refused)
