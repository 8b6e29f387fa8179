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
        """The apps of these tenants that run, by the names of their groups."""
        return dict(self._forks(tenants)) if self._base is not None else {}

    def listed(self, name: str) -> Path:
        """The file that lists the processes of the group `name`."""
        assert self._base is not None
        return self._base / name / "cgroup.procs"

    def _forks(self, tenants: Collection[str]) -> Iterator[tuple[str, Forks]]:
        assert self._base is not None
        for tenant in tenants:
            group = self._base / tenant
            # A kernel since 6.11 counts what is refused for the tenant's limit there alone.
            refused, is_full = value_in(group / "pids.events.local", "max"), _is_full(group)
            for run in group.glob("v-*/*/"):
                own = value_in(run / "pids.events", "max")
                name = str(run.relative_to(self._base))
                yield name, Forks(own + refused, is_full or _is_full(run))


def _is_full(group: Path) -> bool:
    most, running = number_in(group / "pids.max"), number_in(group / "pids.current")
    return most is not None and running is not None and running >= most
