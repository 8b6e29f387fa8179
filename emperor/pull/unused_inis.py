"""Takes inis off the disk that were pulled and that nobody uses, so that a backend whose slots went
to others does not keep their domains for ever. The next hit pulls such an ini again, so one that
the registry does not have now is kept: it may be the only copy after a loss of the registry."""

import asyncio
import logging
from collections.abc import Iterator

from emperor.guarded import guarded
from emperor.model.lifecycle import State
from emperor.model.pulled import Occasion, Said
from emperor.pull.local_copy import AT_ONCE, LocalCopy
from emperor.pull.pulled_inis import said_by
from emperor.pull.verification import Verifier
from emperor.registry.reads import Read, Reads
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal
from emperor.supervisor.slices import slices

log = logging.getLogger("emperord.unused_inis")

# How often it is looked, at most: nobody minds an hour of 30 days.
_LONGEST_SECONDS = 3600.0


class UnusedInis:
    """Takes the inis off the disk that nobody uses. `after` is how long nobody must have used a
    vassal that sleeps, in seconds; 0: for ever."""

    def __init__(
        self,
        reads: Reads,
        verifier: Verifier,
        local_copy: LocalCopy,
        governor: Governor,
        after: float,
    ) -> None:
        self._reads = reads
        self._verifier = verifier
        self._local_copy = local_copy
        self._governor = governor
        self._after = after

    async def run(self) -> None:
        """Forget what is due, until this is cancelled."""
        while self._after:
            await asyncio.sleep(min(self._after / 4, _LONGEST_SECONDS))
            with guarded(log, "take unused inis off the disk"):
                await self.forget()

    async def forget(self) -> None:
        """Take off what nobody has used."""
        async for part in slices(self._local_copy.held()):
            unused = list(self._unused(part))
            for begin in range(0, len(unused), AT_ONCE):
                some = unused[begin : begin + AT_ONCE]
                read = zip(some, await self._reads.read_all(some), strict=True)
                safe = [domain for domain, each in read if self._is_there(domain, each)]
                # Somebody may have asked for one meanwhile.
                await self._local_copy.forget(list(self._unused(iter(safe))))

    def _is_there(self, domain: str, read: Read | Exception) -> bool:
        """Whether the next hit gets the same ini from the registry."""
        if isinstance(read, Exception):
            return False
        order = self._verifier.order(domain, read.value, read.written, Occasion.HIT)
        return said_by(order, self._local_copy.kept(domain)) is Said.SAME_INI

    def _unused(self, domains: Iterator[str]) -> Iterator[str]:
        limit = self._governor.wall(self._governor.now()).timestamp() - self._after
        for domain in domains:
            kept, vassal = self._local_copy.kept(domain), self._governor.vassals.get(domain)
            if kept is not None and kept.at < limit and self._is_unused(vassal, limit):
                yield domain

    def _is_unused(self, vassal: Vassal | None, limit: float) -> bool:
        if vassal is None:
            return True
        if vassal.state is not State.PARKED or vassal.children or vassal.in_maintenance:
            return False
        moments = [self._governor.wall(vassal.since).timestamp()]
        if vassal.last_hit is not None:
            moments.append(self._governor.wall(vassal.last_hit).timestamp())
        if (connected := vassal.listener.last_connect()) is not None:
            moments.append(connected)
        return max(moments) < limit
