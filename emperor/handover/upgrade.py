"""Replaces this program by the version that is installed now.

The new version first proves, in a process of its own, that it can start. Where the same version is
installed still, this process looks at the settings alone. Then execv(2) runs the new version in
this process, and there is no way back. execv keeps the pid, the children and what systemd knows of
the service; the bag keeps everything else, as after a crash.
"""

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import NoReturn

from emperor.handover.gate import Gate
from emperor.handover.inherited import READER, WRITER, Inherited
from emperor.handover.installed import Installed
from emperor.linux.commands import EndlessOutput, run_command
from emperor.linux.inheritance import keep_across_exec
from emperor.linux.invocation import Invocation
from emperor.linux.sd_notify import Notifier
from emperor.model.ports import CannotLaunch
from emperor.model.snapshot import FORMAT

PROVE_SECONDS = 60.0
# An upgrade waits no longer for the commands that run.
_LONGEST_COMMAND_SECONDS = 30.0
_LONGEST_OUTPUT = 1 << 20
# Exit codes of env(1) for a program that it could not run.
_NOT_RUN = frozenset({126, 127})
# In one round the loop reads that there was a signal, in the next it calls the handler.
_ROUNDS_TO_HANDLE_A_SIGNAL = 3


class CannotUpgrade(Exception):
    """Why this version goes on."""


@dataclass(frozen=True, slots=True)
class Handover:
    """How this process was started, what it inherited, and how the next version takes over.
    `objection` is what this version has against the settings as they are now, empty if nothing."""

    invocation: Invocation
    notifier: Notifier
    inherited: Inherited
    installed: Installed
    objection: Callable[[], str]

    async def prove(self) -> None:
        """Find out whether the installed version can start. Raises CannotUpgrade."""
        try:
            async with asyncio.timeout(PROVE_SECONDS):
                if await asyncio.to_thread(self.installed.is_unchanged):
                    problem = await asyncio.to_thread(self.objection)
                else:
                    problem = await self._run_proof()
        except TimeoutError as error:
            raise CannotUpgrade(
                f"the new version does not start within {PROVE_SECONDS:g} s"
            ) from error
        if problem:
            raise CannotUpgrade(f"the new version does not start: {problem}")

    async def _run_proof(self) -> str:
        """Have the new version import everything, read its settings and look at what it would
        inherit. Returns its last line where it cannot start. Raises CannotUpgrade."""
        command = [*self.invocation.command, "--prove", str(FORMAT)]
        try:
            ended, printed = await run_command(
                ["env", "-C", self.invocation.folder, *command], os.environ, _LONGEST_OUTPUT
            )
        except (CannotLaunch, EndlessOutput) as error:
            raise CannotUpgrade(f"cannot run {command[0]}: {error}") from error
        if ended.code in _NOT_RUN:
            problem = _last_line(printed).rpartition(": ")[2]
            raise CannotUpgrade(f"cannot run {command[0]}: {problem}")
        return _last_line(printed) if ended.code != 0 else ""

    @asynccontextmanager
    async def signals_blocked(self) -> AsyncIterator[None]:
        """Leave signals pending until the block ends, or the new version unblocks them. Signals
        that came before the block have been handled."""
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for _ in range(_ROUNDS_TO_HANDLE_A_SIGNAL):
                await asyncio.sleep(0)
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)

    def run_new_version(self, fds: dict[str, int]) -> NoReturn:
        """Become the new version now, with `signals_blocked`, and leave it these descriptors by
        name beside the bag. Raises CannotUpgrade, and then nothing has changed."""
        self.notifier.reloading()
        program, *_ = self.invocation.command
        try:
            with self._original_surroundings():
                bag = dict(zip((READER, WRITER), self.inherited.bag.ends, strict=True))
                name, value = keep_across_exec(bag | fds)
                os.execve(program, self.invocation.command, os.environ | {name: value})
        except OSError as error:
            raise CannotUpgrade(f"cannot run {program}: {error.strerror}") from error
        finally:
            self.notifier.ready()

    @contextmanager
    def _original_surroundings(self) -> Iterator[None]:
        """The working directory and the limits that this process was started with."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.chdir(self.invocation.folder)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, self.invocation.open_files)
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for fd in self.inherited.bag.ends:
                os.set_inheritable(fd, False)
            os.chdir("/")


@asynccontextmanager
async def no_commands(gate: Gate) -> AsyncIterator[None]:
    """Let no command pass the gate during the block. Raises CannotUpgrade where one does not
    end."""
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(_LONGEST_COMMAND_SECONDS):
                await stack.enter_async_context(gate.closed())
        except TimeoutError as error:
            raise CannotUpgrade(
                "a provisioning command, or uWSGI that reads an ini, still runs after"
                f" {_LONGEST_COMMAND_SECONDS:g} s; try again"
            ) from error
        yield


def _last_line(printed: str) -> str:
    """The last line that is not empty; with the file and line of a traceback."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if not lines:
        return "it printed nothing"
    places = [line for line in lines if line.startswith('File "')]
    return f"{lines[-1]} ({places[-1]})" if places else lines[-1]
