"""The connection of a daemon to the registry of its fleet, which all have in common who ask the
registry: one login, one set of connections, and one place that tells whether it is reached.

It is opened when somebody first asks for it, and stays open until the daemon stops: apps that must
not run twice need it to the end. What the file says is read once. A reload replaces the daemon by a
new one, which reads it anew; `refusal` says what no reload can take up.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from emperor.guarded import guarded
from emperor.linux.stamps import stamp_at
from emperor.model.registry_access import RegistryAccess
from emperor.model.registry_keys import Keys
from emperor.model.section import SettingsError
from emperor.model.spec import Stamp
from emperor.registry.access import load_access
from emperor.registry.etcd import Etcd
from emperor.registry.port import Connection
from emperor.registry.reachability import Asker, Reachability
from emperor.registry.usable_access import usable_access

log = logging.getLogger("emperord.link")

# Somebody may be writing the file now.
_RETRY_SECONDS = (2.0, 4.0)


class Link:
    """The registry that `file` names. `tasks` holds what keeps it open."""

    def __init__(self, file: Path, tasks: asyncio.TaskGroup) -> None:
        self._file = file
        self._tasks = tasks
        self._holding: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[tuple[Connection, RegistryAccess]] | None = None
        self._access: RegistryAccess | None = None
        # The file as it was last judged, and what `news` says of it.
        self._judged: tuple[Stamp | None, str | None] = None, None
        loop = asyncio.get_running_loop()
        self.reachability = Reachability(loop.time, partial(datetime.now, UTC), loop.call_later)

    async def connection(self) -> Connection:
        """Waits until the file can be read. Nothing is sent yet."""
        return (await self._both())[0]

    async def signers_file(self) -> Path | None:
        """Who may sign entries; None: they need no signature. Waits like `connection`."""
        return (await self._both())[1].signers_file

    def refusal(self) -> str:
        """Why a new daemon could not go on with what the file says now; empty if it can."""
        try:
            self._usable()
        except SettingsError as error:
            return str(error)
        return ""

    def _usable(self) -> RegistryAccess:
        """What the file says now. Raises SettingsError if a new daemon could not go on with it."""
        now = usable_access(self._file)
        if self._access and now.prefix != self._access.prefix:
            raise SettingsError(
                f"cannot use the prefix {now.prefix} of {self._file} in the place of"
                f" {self._access.prefix}: this machine holds what is below that; stop emperord,"
                " then start it"
            )
        return now

    def news(self) -> str | None:
        """How the file differs from what is in use; None: it does not."""
        if self._access is None:
            return None
        before, news = self._judged
        now = stamp_at(self._file)
        # What is wrong may lie outside of the file.
        if now is None or now != before or news is not None:
            news = self._judge(self._access)
            self._judged = now, news
        return news

    def _judge(self, in_use: RegistryAccess) -> str | None:
        try:
            now = self._usable()
        except SettingsError as error:
            return f"{error}; what was read before is still in use"
        if now == in_use:
            return None
        return f"{self._file} has changed: `systemctl reload emperord` takes it up"

    def teller(self, asker: Asker) -> Callable[[Exception | None], None]:
        """What one of those who ask calls after each answer, with None, and after each failure."""
        return partial(self.reachability.tell, asker)

    async def close(self) -> None:
        """Nobody asks any more."""
        if self._holding:
            self._holding.cancel()
            await asyncio.wait([self._holding])

    async def _both(self) -> tuple[Connection, RegistryAccess]:
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._holding = self._tasks.create_task(self._hold(self._opened))
        # One who waits may be cancelled, and others still wait.
        return await asyncio.shield(self._opened)

    async def _hold(self, opened: "asyncio.Future[tuple[Connection, RegistryAccess]]") -> None:
        while not opened.done():
            with guarded(log, "keep a connection to the registry"):
                await self._open(opened)
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))

    async def _open(self, opened: "asyncio.Future[tuple[Connection, RegistryAccess]]") -> None:
        self._access = access = await self._read()
        async with Etcd(access) as engine:
            opened.set_result((Connection(engine, Keys(access.prefix)), access))
            await asyncio.Event().wait()

    async def _read(self) -> RegistryAccess:
        while True:
            try:
                return load_access(self._file)
            except SettingsError as error:
                self.reachability.tell(Asker.WATCH, error)
                await asyncio.sleep(random.uniform(*_RETRY_SECONDS))
