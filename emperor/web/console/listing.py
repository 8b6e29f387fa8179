"""Collects the list of vassals: the loop picks those that a query wants, in slices, and a thread
sorts them."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from emperor.model.authority import Caller
from emperor.model.history import VassalStats
from emperor.supervisor.records import Vassal
from emperor.supervisor.slices import slices
from emperor.web.console import vassals
from emperor.web.console.history import PatientHistory
from emperor.web.console.tenants import MOST_OFFERED, Names, offered
from emperor.web.report import Reporter, last_error

_DAY = timedelta(days=1)


class Listing:
    """The list of vassals."""

    def __init__(self, reporter: Reporter, history: PatientHistory, names: Names) -> None:
        self._reporter = reporter
        self._history = history
        self._names = names

    async def view(self, query: vassals.ListQuery, caller: Caller, now: datetime) -> vassals.List:
        """A page of it."""
        sought, owners = query, Counter[int | None]()
        if caller.is_administrator:
            tenant = await asyncio.to_thread(self._names.uid_text, query.tenant)
            sought = replace(query, tenant=tenant)
        found: list[Vassal] = []
        async for part in slices(self._reporter.visible(caller)):
            for each in part:
                owners[each.spec.owner] += 1
                if vassals.is_wanted(each, sought, last_error):
                    found.append(each)
        numbers = await self._numbers(found, query.sort, caller, now)
        ordered = await asyncio.to_thread(vassals.ordered, found, query, numbers)
        exact = vassals.exactly(ordered, query.host) if query.host else ""
        page = min(query.page, vassals.pages_of(len(ordered)))
        first = (page - 1) * vassals.ROWS
        shown = ordered[first : first + vassals.ROWS]
        statuses = await self._reporter.rows(shown, caller)
        stats = await self._stats([each.spec.domain for each in shown], caller, now)
        refused = self._reporter.refused(caller) if query.q else ()

        def view() -> vassals.List:
            records = {each.spec.domain: each for each in shown}
            tenants = offered(owners, self._names)
            rows = tuple(
                vassals.row_of(row, records[row.name], stats.get(row.name), self._names.of(row.uid))
                for row in statuses
            )
            pagination = vassals.Pagination(len(ordered), owners.total(), first, len(rows))
            has_more = len(owners) > MOST_OFFERED
            return vassals.List(
                replace(query, page=page), rows, tenants, has_more, pagination, exact,
                vassals.refused_like(query, refused), now,
            )  # fmt: skip

        return await asyncio.to_thread(view)

    async def _numbers(
        self, found: Sequence[Vassal], sort: str, caller: Caller, now: datetime
    ) -> Mapping[str, float]:
        """What these vassals are sorted by, if it is a number."""
        reporter, numbers = self._reporter, dict[str, float]()
        if sort in vassals.BY_STATS:
            stats = await self._history.stats((), caller, now - _DAY)
            numbers = await asyncio.to_thread(vassals.by_stats, stats, sort)
        elif sort == "memory":
            rows = await reporter.rows([each for each in found if each.children], caller)
            numbers = {row.name: row.rss_bytes or 0 for row in rows}
        elif sort == "hit":
            async for part in slices(found):
                for each in part:
                    if hit := reporter.last_hit(each):
                        numbers[each.spec.domain] = hit.timestamp()
        return numbers

    async def _stats(
        self, names: Collection[str], caller: Caller, now: datetime
    ) -> dict[str, VassalStats]:
        """The last day of these vassals in numbers."""
        if not names:
            return {}
        stats = await self._history.stats(names, caller, now - _DAY)
        return {each.name: each for each in stats}
