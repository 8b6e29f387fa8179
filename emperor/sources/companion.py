"""Watches one file beside the inis whose change concerns all of them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from emperor.linux.watch import Changes, FolderWatch

# Editors write a new file and rename it, or rename the old file and write a new one.
_GRACE_SECONDS = 0.2


class CompanionWatch:
    """Calls `on_change` soon after the file at `path` may have changed, until `close`."""

    def __init__(
        self, path: Path, loop: asyncio.AbstractEventLoop, on_change: Callable[[], None]
    ) -> None:
        self._name = path.name
        self._loop = loop
        self._on_change = on_change
        self._timer: asyncio.TimerHandle | None = None
        self._watch = FolderWatch(path.parent, loop, self._read)

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()
        if self._timer is not None:
            self._timer.cancel()

    def _read(self, changes: Changes) -> None:
        if (changes.everything or self._name in changes.names) and self._timer is None:
            self._timer = self._loop.call_later(_GRACE_SECONDS, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._on_change()
