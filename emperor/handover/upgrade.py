"""Becoming a newer version of oneself: it proves that it can start, and then takes this place.

execv(2) keeps the pid, the children and what systemd knows of the service; the bag keeps the rest,
as after a crash. What may go wrong is tried before, in a process of its own: afterwards there is no
way back.
"""

import asyncio
import logging
import os
import resource
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import NoReturn

from emperor.handover.inherited import READER, WRITER, Inherited
from emperor.linux.inheritance import bequeath
from emperor.linux.notify import Notifier
from emperor.linux.origin import Origin
from emperor.model.snapshot import FORMAT

log = logging.getLogger("emperord")

PATIENCE_SECONDS = 60.0
# In one the loop reads that there was a signal, in the next it calls the handler.
_TURNS_TO_HEAR_A_SIGNAL = 3


class CannotUpgrade(Exception):
    """Why this process goes on as it is."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Where this process comes from, and how the next one takes over."""

    origin: Origin
    notifier: Notifier
    inherited: Inherited

    async def prove(self) -> None:
        """Have the new version import everything, read its settings and look at what it would
        inherit. Raises CannotUpgrade."""
        command = [*self.origin.command, "--prove", str(FORMAT)]
        try:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=self.origin.folder, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
            )
        except OSError as error:
            raise CannotUpgrade(f"cannot run {command[0]}: {error.strerror}") from error
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                printed, _ = await process.communicate()
        except TimeoutError as error:
            raise CannotUpgrade(
                f"the new version does not start within {PATIENCE_SECONDS:g} s"
            ) from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            told = _last_words(printed.decode(errors="replace"))
            raise CannotUpgrade(f"the new version does not start: {told}")

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Signals wait, until the block is left or the new version listens to them. Those that
        came before have been heard."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for _ in range(_TURNS_TO_HEAR_A_SIGNAL):
                await asyncio.sleep(0)
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def hand_over(self) -> NoReturn:
        """Become the new version, here and now, while it is `quiet`. Raises CannotUpgrade, and then
        nothing has changed."""
        self.notifier.reloading()
        program, *_ = self.origin.command
        try:
            with self._as_it_was():
                name, value = bequeath(
                    dict(zip((READER, WRITER), self.inherited.bag.ends, strict=True))
                )
                os.execve(program, self.origin.command, os.environ | {name: value})
        except OSError as error:
            raise CannotUpgrade(f"cannot run {program}: {error.strerror}") from error
        finally:
            self.notifier.ready()

    @contextmanager
    def _as_it_was(self) -> Iterator[None]:
        """In the folder and under the limits that this process was started with."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.chdir(self.origin.folder)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, self.origin.open_files)
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for fd in self.inherited.bag.ends:
                os.set_inheritable(fd, False)
            os.chdir("/")


def _last_words(printed: str) -> str:
    """The last line of what was printed and, of a traceback, where it happened."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if not lines:
        return "it printed nothing"
    places = [line for line in lines if line.startswith('File "')]
    return f"{lines[-1]} ({places[-1]})" if places else lines[-1]
