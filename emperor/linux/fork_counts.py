"""How many forks the kernel has refused the apps of a tenant, and whether they have room, by the
files of their control groups (Documentation/admin-guide/cgroup-v2.rst: pids)."""

from collections.abc import Collection, Iterator
from pathlib import Path

from emperor.linux.hierarchies import Hierarchy, number_in, value_in
from emperor.model.refused_forks import Forks


class ForkCounts:
    """Reads the groups in these hierarchies."""

    def __init__(self, hierarchies: Collection[Hierarchy]) -> None:
        found = next((each for each in hierarchies if "pids" in each.controllers), None)
        self._base = found.base if found is not None else None

    def look(self, tenants: Collection[str]) -> dict[str, Forks]:
        """The groups of these tenants that have a limit, by their names: those of processes of
        apps, or that of the tenant alone if it has no room."""
        return dict(self._forks(tenants)) if self._base is not None else {}

    def folder(self, name: str) -> Path:
        """Where the group of that name is."""
        assert self._base is not None
        return self._base / name

    def _forks(self, tenants: Collection[str]) -> Iterator[tuple[str, Forks]]:
        assert self._base is not None
        for tenant in tenants:
            group = self._base / tenant
            # Before Linux 6.11 a refusal counts for the group of the process.
            refused = {run: value_in(run / "pids.events", "max") for run in group.glob("v-*/*/")}
            if _is_full(group):
                here = value_in(group / "pids.events.local", "max")
                yield tenant, Forks(here + sum(refused.values()), is_full=True)
                continue
            for run, number in refused.items():
                yield str(run.relative_to(self._base)), Forks(number, _is_full(run))


def _is_full(group: Path) -> bool:
    most, running = number_in(group / "pids.max"), number_in(group / "pids.current")
    return most is not None and running is not None and running >= most
