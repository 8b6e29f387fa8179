"""Has the folder of inis read again: after a change in it, once a minute, when the file of defaults
has changed, and by an order."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from emperor.guarded import guarded
from emperor.linux.watch import Changes, FolderWatch
from emperor.model.settings import Settings
from emperor.sources.companion import CompanionWatch
from emperor.sources.folder import VassalFolder
from emperor.supervisor.governor import Governor
from emperor.supervisor.slices import slices
from emperor.uwsgi.defaults import DefaultsFile

log = logging.getLogger("emperord.rescans")


@dataclass(eq=False)
class Rescans:
    """The rescans of one daemon. `changed` is called when inis have changed, and `looked` after
    each rescan that nobody has ordered."""

    settings: Settings
    governor: Governor
    folder: VassalFolder
    defaults: DefaultsFile
    tasks: asyncio.TaskGroup
    changed: Callable[[], None]
    looked: Callable[[], None]

    def __post_init__(self) -> None:
        self._is_due = self._is_running = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Notice changes until the block is left."""
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            stack.callback(FolderWatch(self.settings.vassals_dir, loop, self._note).close)
            if path := self.settings.vassal_defaults:
                stack.callback(CompanionWatch(path, loop, self._reread_defaults).close)
            yield

    async def rescan(self) -> None:
        """Read the folder of inis again, and bind sockets again whose path was removed."""
        await self.folder.rescan()
        await self.restore_listeners()

    async def restore_listeners(self) -> None:
        """Bind sockets again whose path was removed."""
        async for part in slices(self.governor.vassals):
            self.governor.restore_listeners(part)

    def _reread_defaults(self) -> None:
        if self.defaults.reload():
            log.info("%s has changed: all inis are read again", self.settings.vassal_defaults)
            self.folder.outdate()
            self._note(Changes(everything=True))

    def _note(self, changes: Changes) -> None:
        self.folder.changed(changes.names)
        self._is_due |= changes.everything
        if self._is_due and not self._is_running:
            self._is_running = True
            self.tasks.create_task(self._rescan_while_due())
        self.changed()

    async def _rescan_while_due(self) -> None:
        # After a fault, the next rescan comes within a minute.
        with guarded(log, "read the folder of inis"):
            while self._is_due:
                self._is_due = False
                await self.rescan()
                self.looked()
        self._is_running = False
