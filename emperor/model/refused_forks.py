"""Decides which apps have their forks refused early: those that are at a limit on processes, and go
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


@dataclass(frozen=True, slots=True)
class Forks:
    """How many forks the kernel has refused an app until now, and whether the app, or its tenant,
    has all the processes that it may have."""

    refused: int
    is_full: bool


@dataclass(frozen=True, slots=True)
class ForkingOn:
    """The apps that go on forking, by the names of their groups, and what leads there: what each
    app had been refused at the last look, and at how many looks in a row that was much."""

    apps: frozenset[str] = frozenset()
    refused: Mapping[str, int] = field(default_factory=dict)
    looks: Mapping[str, int] = field(default_factory=dict)

    def after(self, seconds: float, forks: Mapping[str, Forks]) -> "ForkingOn":
        """The same after a further look, `seconds` after the one before. An app whose forks are
        refused early is one of these for as long as it has no room: nothing else tells what it
        tries then."""
        looks = {
            app: self.looks.get(app, 0) + 1
            for app, now in forks.items()
            if now.is_full and self._since(app, now) >= _MANY_IN_A_SECOND * seconds
        }
        held = {app for app in self.apps if app in forks and forks[app].is_full}
        begin = {app for app, number in looks.items() if number >= _LOOKS}
        return ForkingOn(
            frozenset(held | begin), {app: now.refused for app, now in forks.items()}, looks
        )

    def _since(self, app: str, now: Forks) -> int:
        return now.refused - self.refused.get(app, now.refused)
