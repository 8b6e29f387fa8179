"""What happens now, for `emperorctl top`.

It is asked for every second or two. So a sleeping vassal costs a look at its record, and only those
that do something are measured and told.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from emperor.linux.usage import proportional
from emperor.model.activity import Active, Activity, counts_of
from emperor.model.authority import Caller
from emperor.model.lifecycle import State
from emperor.model.status import ReportedState, VassalStatus
from emperor.supervisor.records import Vassal
from emperor.supervisor.vassals import Vassals
from emperor.web.report import Reporter

# A millisecond.
_IN_A_TURN = 2000
# What needs a person comes first where there is no room for all.
_RANK = {
    ReportedState.THROTTLED: 0,
    ReportedState.STARTING: 1,
    ReportedState.RELOADING: 1,
    ReportedState.STOPPING: 2,
    ReportedState.RUNNING: 3,
    ReportedState.NAPPING: 4,
    ReportedState.PARKED: 5,
}


@dataclass(frozen=True, slots=True)
class ActivityQuery:
    """At most `most` vassals that do something, or whose names or errors contain `match`. The
    memory of those in `measured` is measured."""

    match: str
    most: int
    measured: Collection[str]


class ActivityReporter:
    """Chooses the vassals, and has `reporter` make their rows."""

    def __init__(self, reporter: Reporter, vassals: Vassals) -> None:
        self._reporter = reporter
        self._vassals = vassals

    async def activity(
        self, draining_since: datetime | None, caller: Caller, query: ActivityQuery
    ) -> Activity:
        """What exists of it for the caller."""
        states, closed, chosen = await self._choose(caller, query.match)
        chosen.sort(key=_rank)
        rows = await self._reporter.rows(chosen[: query.most], caller)
        memory = await self._memory(rows, query.measured)
        return Activity(
            emperor=self._reporter.emperor_for(caller, rows, draining_since),
            tenants=tuple(
                counts_of(uid, states[uid], closed[uid])
                for uid in sorted(states.keys() | closed.keys(), key=_uid)
            ),
            vassals=tuple(Active(row, memory.get(row.name), self._reason(row)) for row in rows),
            left_out=max(0, len(chosen) - query.most),
        )

    async def _choose(
        self, caller: Caller, match: str
    ) -> tuple[defaultdict[int | None, Counter[ReportedState]], Counter[int | None], list[Vassal]]:
        """How many vassals of each tenant are in which state, how many are in maintenance instead,
        and the vassals to tell of."""
        parked: Counter[int | None] = Counter()
        closed: Counter[int | None] = Counter()
        states: defaultdict[int | None, Counter[ReportedState]] = defaultdict(Counter)
        chosen: list[Vassal] = []
        every = tuple(self._reporter.visible(caller))
        for first in range(0, len(every), _IN_A_TURN):
            # Most sleep. For those this loop does as little as it can.
            for vassal in every[first : first + _IN_A_TURN]:
                if vassal.state is State.PARKED:
                    counted = closed if vassal.in_maintenance else parked
                    counted[vassal.spec.owner] += 1
                    if not match and vassal.last_error is None and vassal.ini_error is None:
                        continue
                elif vassal.in_maintenance:
                    closed[vassal.spec.owner] += 1
                else:
                    states[vassal.spec.owner][vassal.reported_state] += 1
                error = vassal.last_error or vassal.ini_error or ""
                if match in vassal.spec.domain or match in error.lower():
                    chosen.append(vassal)
            await asyncio.sleep(0)
        for uid, number in parked.items():
            states[uid][ReportedState.PARKED] = number
        return states, closed, chosen

    async def _memory(
        self, rows: Collection[VassalStatus], measured: Collection[str]
    ) -> dict[str, int]:
        groups = {row.name: row.pid for row in rows if row.pid and row.name in measured}
        found = await asyncio.to_thread(proportional, groups.values()) if groups else {}
        return {name: found[group] for name, group in groups.items() if group in found}

    def _reason(self, row: VassalStatus) -> str:
        if row.last_error:
            return row.last_error
        vassal = self._vassals.get(row.name)
        if vassal is None:
            return ""
        if row.pid is None:
            return vassal.last_stop.why if vassal.last_stop else ""
        boot = vassal.last_boot
        if boot is None:
            return ""
        request = " ".join(filter(None, (boot.cause.method, boot.cause.path)))
        return f"{boot.cause.by}: {request}" if request else boot.cause.by


def _rank(vassal: Vassal) -> tuple[int, float, str]:
    hit = vassal.last_hit or 0.0
    return _RANK[vassal.reported_state], -hit, vassal.spec.domain


def _uid(uid: int | None) -> int:
    return -1 if uid is None else uid
