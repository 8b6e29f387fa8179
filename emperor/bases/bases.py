"""Keeps a base for the apps of each daemon, and makes it anew when it dies or is outdated.

An app for which there is no base starts by exec, at once. Nothing here has a timer while all is in
order.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import util

from emperor.bases.base_process import BaseProcess, OnUnfit
from emperor.bases.order import Import, Order, message
from emperor.bases.standard_library import MODULES
from emperor.linux.groups import OOM_SCORE_ADJ
from emperor.linux.proc import has_replaced_files
from emperor.linux.processes import LedProcess, Spawner
from emperor.model.ports import CannotLaunch, Exit

log = logging.getLogger("emperord.bases")

# All apps of one base have the secret of Python's hashes and the layout of memory in common.
_LONGEST_SECONDS = 86400.0
_MOST_FORKS = 10_000
_DIST_INFO = ".dist-info"
_DYING_SECONDS = 5.0
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 300.0
_MOST_DOUBLINGS = 10


@dataclass(frozen=True, slots=True)
class Program:
    """What a base runs: a Python, and the module pyuwsgi that was built for it."""

    python: str
    pyuwsgi: str

    def version(self) -> tuple[tuple[int, int], ...]:
        """Another one after an upgrade of Python or of emperord. Raises OSError."""
        files = (self.python, os.path.dirname(os.__file__), self.pyuwsgi)
        return tuple((found.st_ino, found.st_mtime_ns) for found in map(os.stat, files))


def own_program() -> Program | str:
    """The Python of emperord, with the pyuwsgi that is installed there; or why it cannot be used:
    both ways to start an app must have the same uWSGI."""
    found = util.find_spec("pyuwsgi")
    if found is None or found.origin is None:
        return "pyuwsgi is not installed"
    folder = os.path.dirname(found.origin)
    uwsgi, pyuwsgi = (_installed(folder, name) for name in ("uwsgi", "pyuwsgi"))
    if uwsgi != pyuwsgi:
        return f"there are uwsgi {uwsgi} and pyuwsgi {pyuwsgi}"
    return Program(os.path.realpath(sys.executable), found.origin)


def _installed(folder: str, package: str) -> str:
    """The version of a package in that folder. importlib.metadata takes 20 ms to import."""
    for entry in os.listdir(folder):
        name, _, rest = entry.partition("-")
        if name.lower() == package and rest.endswith(_DIST_INFO):
            return rest.removesuffix(_DIST_INFO)
    return "of no known version"


@dataclass(frozen=True, slots=True)
class BaseState:
    """A base that can fork. `spares` are the pids of what it has forked. `made` is the moment in
    monotonic seconds."""

    python: str
    pid: int
    spares: tuple[int, ...]
    made: float
    forks: int
    modules: tuple[str, ...]
    left_out: Mapping[str, str]


class Bases:
    """The base of this daemon. `program` is what it runs, or why there can be none. `environment`
    is that of a base, before it is an app's."""

    def __init__(
        self, program: Program | str, environment: Mapping[str, str], spawner: Spawner
    ) -> None:
        self.why_none = program if isinstance(program, str) else ""
        self._program = None if isinstance(program, str) else program
        self._environment = environment
        self._spawner = spawner
        self._loop = spawner.loop
        self._current: BaseProcess | None = None
        self._coming: BaseProcess | None = None
        self._version: tuple[tuple[int, int], ...] = ()
        self._coming_version: tuple[tuple[int, int], ...] = ()
        self._retry: asyncio.TimerHandle | None = None
        self._made = 0.0
        self._failures = 0
        self._last_failure = ""
        self._is_closed = False

    def make(self) -> None:
        """Make a base, in the place of the one that is there as soon as it can fork."""
        if self._program is None or self._is_closed:
            return
        if self._coming is not None or self._retry is not None:
            return
        try:
            self._coming_version = self._program.version()
            base = BaseProcess(self._program.python, self._environment, self._spawner, self)
        except (OSError, CannotLaunch) as error:
            self._failed(str(error))
            return
        self._coming = base
        base.load(Import(self._program.pyuwsgi, MODULES, OOM_SCORE_ADJ))

    def on_ready(self, base: BaseProcess) -> None:
        """It takes the place of the base before it."""
        if self._current is not None:
            self._current.end()
        self._current, self._coming = base, None
        self._version = self._coming_version
        self._made = self._loop.time()
        self._failures, self._last_failure = 0, ""

    def on_end(self, base: BaseProcess, ended: Exit) -> None:
        """Make another one, if it was in use or about to be."""
        if base in (self._current, self._coming) and not self._is_closed:
            self._current = None if base is self._current else self._current
            self._coming = None if base is self._coming else self._coming
            self._failed(str(ended))

    def _failed(self, why: str) -> None:
        delay = min(_FIRST_DELAY_SECONDS * 2.0**self._failures, _LONGEST_DELAY_SECONDS)
        self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
        if why != self._last_failure:
            log.warning(
                "cannot fork apps from a base: %s; they start by exec until there is another one",
                why,
            )
        self._last_failure = why
        if self._retry is None:
            self._retry = self._loop.call_later(delay, self._make_again)

    def _make_again(self) -> None:
        self._retry = None
        self.make()

    def start(
        self,
        order: Order,
        fds: Sequence[int],
        on_exit: Callable[[Exit], None],
        on_unfit: OnUnfit,
    ) -> LedProcess | None:
        """The app of that order; None where no base can fork it."""
        base = self._fresh()
        if base is None:
            return None
        try:
            return base.start(message(order), fds, on_exit, on_unfit)
        except UnicodeEncodeError:  # a path that is no UTF-8
            return None

    def _fresh(self) -> BaseProcess | None:
        base = self._current
        if base is None:
            return None
        if self._is_outdated(base):
            self._current = None
            base.end()
            self.make()
            return None
        age = self._loop.time() - self._made
        if age > _LONGEST_SECONDS or base.forks >= _MOST_FORKS:
            self.make()
        return base

    def _is_outdated(self, base: BaseProcess) -> bool:
        with suppress(OSError):
            is_another = self._program is None or self._program.version() != self._version
            return is_another or has_replaced_files(base.pid)
        return True

    def states(self) -> tuple[BaseState, ...]:
        """The base, if there is one."""
        base, program = self._current, self._program
        if base is None or program is None:
            return ()
        return (
            BaseState(
                python=program.python,
                pid=base.pid,
                spares=base.spares,
                made=self._made,
                forks=base.forks,
                modules=base.imported.modules,
                left_out=base.imported.left_out,
            ),
        )

    async def close(self) -> None:
        """End it, and wait for that: the daemon ends."""
        self._is_closed = True
        bases = [base for base in (self._current, self._coming) if base is not None]
        self._current = self._coming = None
        for base in bases:
            base.end()
            with suppress(TimeoutError):
                await asyncio.wait_for(base.ended.wait(), _DYING_SECONDS)
