"""Sees by the counters of control groups which limits apps have reached: how often the kernel has
killed a process for its memory, and how often it has refused a fork."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emperor.linux.group_names import app_of, tenant_of
from emperor.linux.hierarchies import Hierarchy, number_in, value_in
from emperor.model.limit_hits import Hit, Reached


@dataclass(frozen=True, slots=True)
class _Counts:
    """What the kernel has counted of one group since it was made."""

    killed: int = 0
    refused: int = 0


# An app that reaches limits is in trouble, and a machine has few of them.
_MOST_APPS = 1000


@dataclass(slots=True)
class OfApp:
    """How often an app has reached a limit, and when that was seen last, by time(2)."""

    hits: int = 0
    last: float = 0.0


@dataclass(slots=True)
class _Apps:
    """What each app has reached, by the name of its group; the latest one last."""

    now: Callable[[], float]
    found: OrderedDict[str, dict[Reached, OfApp]] = field(default_factory=OrderedDict)

    def count(self, app: str, limit: Reached, number: int) -> None:
        """Note that the app has reached the limit `number` times more."""
        self.found.setdefault(app, {})
        self.found.move_to_end(app)
        if len(self.found) > _MOST_APPS:
            self.found.popitem(last=False)
        counted = self.found[app].setdefault(limit, OfApp())
        counted.hits += number
        counted.last = self.now()


class HitCounter:
    """Counts what the tenants and their apps have reached, since the daemon started."""

    def __init__(
        self, hierarchies: Sequence[Hierarchy], now: Callable[[], float] = time.time
    ) -> None:
        self._memory = next((each for each in hierarchies if "memory" in each.controllers), None)
        self._pids = next((each for each in hierarchies if "pids" in each.controllers), None)
        self._seen: dict[str, _Counts] = {}
        self._above = _RefusedAbove(self._pids)
        # How often the groups of tenants were full before the apps that are in them now.
        self._full_before: dict[str, int] = {}
        self._untold: dict[str, list[Hit]] = {}
        self._totals = Counter[tuple[str, Reached]]()
        self._apps = _Apps(now)

    def begin(self, name: str, *, is_new: bool = False) -> None:
        """Count from here on for that group. `is_new`: it has just been made."""
        if self._memory and (tenant := tenant_of(name)) not in self._full_before:
            self._full_before[tenant] = _times_full(self._memory, tenant)
        self._seen[name] = _Counts() if is_new else self._counts(name)
        self._above.begin(name)

    def take(self, name: str) -> list[Hit]:
        """What the group of a process has reached since this was asked last."""
        self.look(name)
        return self._untold.pop(name, [])

    def stop(self, name: str) -> None:
        """Count no more for that group: it will be killed. In v1 it may not fork meanwhile, which
        is no limit of the app."""
        self.look(name)
        self._seen.pop(name, None)

    def names(self) -> tuple[str, ...]:
        """The groups for which it counts."""
        return tuple(self._seen)

    def look(self, name: str) -> None:
        """Count what that group has reached since it was looked at last."""
        if (before := self._seen.get(name)) is None:
            return
        self._seen[name] = now = self._counts(name)
        for difference, find in (
            (now.killed - before.killed, self._memory_limit),
            (now.refused - before.refused, self._pids_limit),
        ):
            if difference > 0:
                hit = find(name)
                self._count([name], hit, difference)
                self._apps.count(app_of(name), hit.limit, difference)
        for hit, difference, beneath in self._above.look(name):
            self._count([each for each in self._seen if each.startswith(beneath)], hit, difference)

    def note(self, app: str, limit: Reached) -> None:
        """An app, by the name of the group around its processes, has reached a limit that is none
        of its groups'."""
        self._totals[tenant_of(app), limit] += 1
        self._apps.count(app, limit, 1)

    def _count(self, names: Sequence[str], hit: Hit, number: int) -> None:
        """The tenant of the first of these groups has reached it so often."""
        self._totals[tenant_of(names[0]), hit.limit] += number
        for name in names:
            self._untold.setdefault(name, []).append(hit)

    def totals(self) -> dict[tuple[str, Reached], int]:
        """How often each tenant, by the name of its group, has reached each limit."""
        for name in self.names():
            self.look(name)
        return self.seen()

    def seen(self) -> dict[tuple[str, Reached], int]:
        """How often each tenant has reached each limit by what earlier looks have found. No file is
        read."""
        return dict(self._totals)

    def of_app(self, app: str) -> Mapping[Reached, OfApp]:
        """What the processes of an app have reached themselves, by the name of the group around
        those. A fork that was refused for the limit of a group above that is not known to be one of
        this app on a kernel since 6.11."""
        for name in [each for each in self._seen if each.startswith(f"{app}/")]:
            self.look(name)
        return self._apps.found.get(app, {})

    def apps_by_limit(self) -> dict[tuple[str, Reached], list[str]]:
        """Which apps have reached a limit, by the tenant and the limit: the names of their groups,
        the latest one first; as far as they were looked at."""
        apps: dict[tuple[str, Reached], list[str]] = {}
        for app, limits in reversed(self._apps.found.items()):
            for limit in limits:
                apps.setdefault((tenant_of(app), limit), []).append(app)
        return apps

    def forget(self, name: str) -> None:
        """The group is gone."""
        self._seen.pop(name, None)
        self._untold.pop(name, None)
        if not any(tenant_of(each) == tenant_of(name) for each in self._seen):
            self._above.forget(tenant_of(name))
            self._full_before.pop(tenant_of(name), None)

    def _counts(self, name: str) -> _Counts:
        killed = refused = 0
        if self._memory:
            file = "memory.events" if self._memory.is_v2 else "memory.oom_control"
            killed = value_in(self._memory.base / name / file, "oom_kill")
        if self._pids:
            refused = value_in(self._pids.base / name / "pids.events", "max")
        return _Counts(killed, refused)

    def _memory_limit(self, name: str) -> Hit:
        """Whose limit it was: the nearest group that was full."""
        assert self._memory
        limit = "memory.max" if self._memory.is_v2 else "memory.limit_in_bytes"
        for group, reached in _around(self._memory, name, Reached.MEMORY, Reached.TENANT_MEMORY):
            held = group.relative_to(self._memory.base).as_posix()
            was_full = _times_full(self._memory, held) > self._full_before.get(held, 0)
            if was_full:
                return Hit(reached, number_in(group / limit))
        return Hit(Reached.MACHINE_MEMORY)

    def _pids_limit(self, name: str) -> Hit:
        assert self._pids
        for group, reached in _around(self._pids, name, Reached.PIDS, Reached.TENANT_PIDS):
            limit, peak = number_in(group / "pids.max"), number_in(group / "pids.peak")
            # Kernels before 6.1 have no peak.
            if limit is not None and (peak is None or peak >= limit):
                return Hit(reached, limit)
        return Hit(Reached.MACHINE_PIDS)


def _times_full(memory: Hierarchy, name: str) -> int:
    """How often that very group had no memory left."""
    if memory.is_v2:
        return value_in(memory.base / name / "memory.events.local", "oom")
    return number_in(memory.base / name / "memory.failcnt") or 0


class _RefusedAbove:
    """Counts the forks that were refused for the limit of a group above that of a process. In v2 a
    kernel since 6.11 counts them in the group whose limit it was, and in none beneath it
    (Documentation/admin-guide/cgroup-v2.rst: pids.events.local)."""

    def __init__(self, pids: Hierarchy | None) -> None:
        self._base = pids.base if pids is not None and pids.is_v2 else None
        self._seen: dict[Path, int] = {}

    def begin(self, name: str) -> None:
        """Count from here on for that group, unless another one beneath the same began before. A
        group above it that is not there yet has refused nothing."""
        for group in self._groups(name):
            if group not in self._seen:
                self._seen[group] = _refused_for(group)

    def look(self, name: str) -> Iterator[tuple[Hit, int, str]]:
        """The limits above that group that were reached since one beneath them was looked at, how
        often, and how the names begin of all groups that this concerns."""
        tenant = tenant_of(name)
        for group in self._groups(name):
            before, now = self._seen.get(group, 0), _refused_for(group)
            self._seen[group] = now
            if now <= before:
                continue
            if self._base is not None and group == self._base / tenant:
                limit = number_in(group / "pids.max")
                yield Hit(Reached.TENANT_PIDS, limit), now - before, f"{tenant}/"
            else:
                yield Hit(Reached.MACHINE_PIDS), now - before, ""

    def forget(self, tenant: str) -> None:
        """The last group of that tenant is gone."""
        if self._base is not None:
            self._seen.pop(self._base / tenant, None)

    def _groups(self, name: str) -> Iterator[Path]:
        if self._base is not None:
            yield self._base / tenant_of(name)
            yield self._base
            yield from self._base.parents


def _refused_for(group: Path) -> int:
    """How many forks were refused for the limit of that very group; 0 where the kernel does not
    tell."""
    return value_in(group / "pids.events.local", "max")


def _around(
    hierarchy: Hierarchy, name: str, own: Reached, of_tenant: Reached
) -> Iterator[tuple[Path, Reached]]:
    yield hierarchy.base / name, own
    yield hierarchy.base / tenant_of(name), of_tenant
