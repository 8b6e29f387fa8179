"""How this daemon gives its place to the version that is installed now: it pauses what an exec must
not interrupt, leaves what the next version needs, and has a stand-in answer meanwhile."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from emperor.guarded import guarded
from emperor.handover.gate import Gate
from emperor.handover.upgrade import CannotUpgrade, Handover, no_commands
from emperor.notices.notices import Notices
from emperor.supervisor.governor import Governor
from emperor.web.history import HistoryAccess
from emperor.web.stand_in import Post, stand_in

log = logging.getLogger("emperord.succession")

# A client that does not read its answer delays an upgrade by no more than this.
_BEFORE_EXEC_SECONDS = 2.0


@dataclass(eq=False)
class Succession:
    """Replaces this daemon by the installed version. `stop` is set when the daemon is to stop for
    good. `objection` says why no other version can go on with what this one has, empty if one can.
    `keep` is called when nothing but the exec is left to do."""

    handover: Handover
    governor: Governor
    history: HistoryAccess
    notices: Notices
    gate: Gate
    stop: asyncio.Event
    objection: Callable[[], str]
    keep: Callable[[], object]

    def __post_init__(self) -> None:
        self._upgrading = asyncio.Lock()
        self._posts: list[Post] = []

    def add_post(self, post: Post) -> None:
        """Have the stand-in answer on this socket too."""
        self._posts.append(post)

    async def upgrade_when(self, asked: asyncio.Event) -> None:
        """Upgrade each time somebody asks, until this is cancelled."""
        while True:
            await asked.wait()
            asked.clear()
            with guarded(log, "upgrade"), suppress(CannotUpgrade):  # it is logged
                await self.upgrade(_nothing)

    async def upgrade(self, before_exec: Callable[[], Awaitable[None]]) -> NoReturn:
        """See `Service.upgrade`. Raises CannotUpgrade, and then nothing has changed."""
        async with self._upgrading:
            try:
                await self._upgrade(before_exec)
            except CannotUpgrade as error:
                level = logging.INFO if self.stop.is_set() else logging.ERROR
                log.log(level, "cannot upgrade: %s; all stays as it is", error)
                raise

    async def _upgrade(self, before_exec: Callable[[], Awaitable[None]]) -> NoReturn:
        await self.handover.prove()
        if why := self.objection():
            raise CannotUpgrade(why)
        # The output of a child process would be lost, and the new version would run it again.
        async with no_commands(self.gate), self.handover.signals_blocked():
            self._require_all_saved()
            if self.stop.is_set():
                raise CannotUpgrade("emperord stops")
            try:
                await self._give_way(before_exec)
            except OSError as error:
                # No descriptor may be left, and the client who has asked may be gone.
                raise CannotUpgrade(error.strerror or str(error)) from error

    async def _give_way(self, before_exec: Callable[[], Awaitable[None]]) -> NoReturn:
        """Leave what the next version needs, and become that. Nothing has changed if this raises
        or is cancelled, as where the client who has asked leaves."""
        try:
            self.notices.leave()
            await self.history.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(_BEFORE_EXEC_SECONDS):
                    await before_exec()
            self._require_all_saved()
            self.keep()
            log.info("upgrading: the new version can start, and takes over now")
            with stand_in(self._posts) as fds:
                self.handover.run_new_version(fds)
        except BaseException:
            self.notices.stay()
            raise

    def _require_all_saved(self) -> None:
        """Raise CannotUpgrade if the new version could not go on with a vassal."""
        checkpoint = self.governor.checkpoint
        checkpoint.retry(self.governor.vassals)
        if checkpoint.missing:
            raise CannotUpgrade(f"the state of {min(checkpoint.missing)} cannot be kept")


async def _nothing() -> None:
    pass
