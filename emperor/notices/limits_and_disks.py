"""Looks, with the rescan of the inis, that is once a minute, at what nothing reports: limits that
apps have reached, and file systems that are short of space."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from math import inf
from pathlib import Path

from emperor.guarded import guarded
from emperor.linux.free_space import free_space_at
from emperor.linux.groups import ControlGroups
from emperor.model.free_space import FreeSpace, shortage
from emperor.model.notice import Incident, NoticeKind, NoticeSubject
from emperor.model.status import LimitHits
from emperor.notices.notices import Notices
from emperor.supervisor.slices import slices

log = logging.getLogger("emperord.limits_and_disks")

Reached = Callable[[], Collection[LimitHits]]

# A rescan that somebody orders, or a burst of changes, brings no further look.
_LEAST_SECONDS = 30.0


class LimitsAndDisks:
    """Notes limits that were reached, and file systems that are short of space. `folders` are those
    whose file systems are watched. `reached` tells the limits that were reached since the daemon
    started."""

    def __init__(
        self,
        notices: Notices,
        groups: ControlGroups,
        reached: Reached,
        folders: Collection[Path],
    ) -> None:
        self._notices = notices
        self._groups = groups
        self._reached = reached
        self._folders = folders
        self._hits: Mapping[tuple[str, str], int] = {}
        self._short: set[Path] = set()
        self._looked = -inf
        self._is_looking = False

    def look(self, tasks: asyncio.TaskGroup) -> None:
        """Note, in a task, what has changed since the last look. A disk that hangs delays that and
        nothing else."""
        now = asyncio.get_running_loop().time()
        is_due = now - self._looked >= _LEAST_SECONDS and not self._is_looking
        if self._notices.are_wanted and is_due:
            self._looked, self._is_looking = now, True
            tasks.create_task(self._look())

    async def _look(self) -> None:
        # The next look comes with the next rescan.
        with guarded(log, "look at limits and disks"):
            await self._look_at_limits()
            self._judge(await asyncio.to_thread(_spaces, self._folders))
        self._is_looking = False

    async def _look_at_limits(self) -> None:
        async for names in slices(self._groups.hits.names()):
            for name in names:
                self._groups.hits.look(name)
        hits = {(each.tenant, each.limit): each.hits for each in self._reached()}
        for (tenant, limit), number in hits.items():
            if more := number - self._hits.get((tenant, limit), 0):
                detail = f"{more} time{'s' * (more > 1)} within a minute"
                subject = NoticeSubject(f"{tenant}: {limit}", None, detail)
                self._notices.note(Incident(NoticeKind.LIMIT_REACHED, subject))
        self._hits = hits

    def _judge(self, spaces: Mapping[Path, FreeSpace]) -> None:
        for folder, space in spaces.items():
            short = shortage(space, folder in self._short)
            detail = short or f"{space.free_bytes >> 20} MB are free"
            subject = NoticeSubject(str(folder), None, detail)
            self._notices.note(Incident(NoticeKind.DISK_SHORT, subject, is_over=short is None))
            (self._short.discard if short is None else self._short.add)(folder)


def _spaces(folders: Collection[Path]) -> dict[Path, FreeSpace]:
    """The space of each file system, by the first of the folders on it."""
    found: dict[int, tuple[Path, FreeSpace]] = {}
    for folder in folders:
        with suppress(OSError):  # it is not there, or its disk does not answer
            space = free_space_at(folder)
            found.setdefault(space.device, (folder, space))
    return dict(found.values())
