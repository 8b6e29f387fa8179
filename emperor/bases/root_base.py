"""Keeps the base that holds the standard library, and makes it anew when it dies or is outdated.

An app for which there is no base starts by exec, at once. Nothing here has a timer while all is in
order.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from emperor import __version__
from emperor.bases.base_process import CONTROL_FD, BaseProcess, BaseState, OnExit, message
from emperor.bases.kept_base import KeptBase, Maker
from emperor.bases.kept_bases import FoundBase, KeptBases
from emperor.bases.order import Import
from emperor.bases.program import Program, code_version
from emperor.bases.standard_library import MODULES
from emperor.linux.groups import OOM_SCORE_ADJ
from emperor.linux.mapped_files import MappedFiles
from emperor.linux.mapped_files import Version as FolderVersion
from emperor.linux.processes import LedProcess, Spawner
from emperor.model.ports import CannotLaunch, Exit

log = logging.getLogger("emperord.root_base")

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "base.py")
# The command of an app takes the place of that of the base, word by word.
_ROOM_FOR_COMMAND = ("-",) * 80
# All apps of one base have the secret of Python's hashes and the layout of memory in common.
LONGEST_SECONDS = 86400.0
MOST_FORKS = 10_000
_DYING_SECONDS = 5.0
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 300.0
_MOST_DOUBLINGS = 10


class RootBase:
    """The base of this daemon that holds the standard library, made anew whenever that is needed.
    `environment` is that of a base, before it is an app's. `on_new` is called when another one has
    taken the place of the one before, and is told whether it is of another version. It is `kept`
    for the next daemon."""

    def __init__(
        self,
        program: Program,
        environment: Mapping[str, str],
        spawner: Spawner,
        on_new: Callable[[bool], object],
        kept: KeptBases,
    ) -> None:
        self._program = program
        self._environment = environment
        self._spawner = spawner
        self._on_new = on_new
        self._kept = kept
        self._loop = spawner.loop
        self._current: BaseProcess | None = None
        self._coming: BaseProcess | None = None
        # Which version has made the one in use, and makes the one that comes.
        self.maker: Maker | None = None
        self._mapped: MappedFiles | None = None
        self._coming_maker: Maker | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._made = 0.0
        self._failures = 0
        self._last_failure = ""
        self._is_closed = self._is_another_version = False

    def make(self) -> None:
        """Make a base, in the place of the one that is there as soon as it can fork."""
        if self._is_closed or self._coming is not None or self._retry is not None:
            return
        try:
            self._coming_maker = self.maker_now()
            base = BaseProcess(self._launch, self._loop, self)
        except (OSError, CannotLaunch) as error:
            self._failed(str(error))
            return
        self._coming = base
        base.tell(message(Import(self._program.pyuwsgi, MODULES, OOM_SCORE_ADJ)))

    def _launch(self, control: socket.socket, on_exit: OnExit) -> LedProcess:
        command = [self._program.python, "-S", _PROGRAM, *_ROOM_FOR_COMMAND]
        fds = {CONTROL_FD: control.fileno()}
        return self._spawner.spawn(command, self._environment, fds, on_exit)

    def on_ready(self, base: BaseProcess) -> None:
        """The base can fork, and takes the place of the one before it."""
        if self._current is not None:
            self._current.end()
        self._coming = None
        self._use(base, self._coming_maker, self._loop.time())
        self.keep()
        self._failures, self._last_failure = 0, ""
        is_another, self._is_another_version = self._is_another_version, False
        self._on_new(is_another)

    def go_on(self, found: FoundBase) -> None:
        """Use the base of an earlier daemon. If it is no child of this one, another base takes its
        place: of what is forked from it nobody learns how it ends."""
        kept = found.kept
        base = BaseProcess(found.held, self._loop, self)
        self._use(base, kept.maker, kept.made)
        if self.fresh() is not None and not base.is_child:
            self.make()

    def _use(self, base: BaseProcess, maker: Maker | None, made: float) -> None:
        self._current, self.maker, self._made = base, maker, made
        self._mapped = MappedFiles(base.pid)
        base.on_leave = partial(self._kept.forget, base.pid)

    def keep(self) -> None:
        """Keep the base for the next daemon, as it is now."""
        base = self._current
        if base is None or base.fds is None or self.maker is None:
            return
        kept = KeptBase(base.pid, self.maker, base.imported, self._made, base.forks, None, "")
        self._kept.keep(kept, *base.fds)

    def maker_now(self) -> Maker:
        """The version that makes a base now. Raises OSError."""
        program = self._program
        return Maker(
            __version__, code_version(), program.python, program.pyuwsgi, program.version()
        )

    def on_end(self, base: BaseProcess, ended: Exit) -> None:
        """Make another one, if it was in use or about to be."""
        if base in (self._current, self._coming) and not self._is_closed:
            self._current = None if base is self._current else self._current
            self._coming = None if base is self._coming else self._coming
            self._failed(base.problem or str(ended))

    def _failed(self, why: str) -> None:
        delay = min(_FIRST_DELAY_SECONDS * 2.0**self._failures, _LONGEST_DELAY_SECONDS)
        self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
        if why != self._last_failure:
            if self._current is None:
                log.warning(
                    "cannot fork apps from a base: %s; they start by exec until there is another"
                    " one", why,
                )  # fmt: skip
            else:
                log.warning(
                    "cannot make another base: %s; apps are forked from the earlier one until then",
                    why,
                )
        self._last_failure = why
        if self._retry is None:
            self._retry = self._loop.call_later(delay, self._make_again)

    def _make_again(self) -> None:
        self._retry = None
        self.make()

    def fresh(self) -> BaseProcess | None:
        """The base, unless there is none or it is outdated."""
        base = self._current
        if base is None:
            return None
        if self._is_outdated():
            self._current, self._is_another_version = None, True
            base.end()
            self.make()
            return None
        age = self._loop.time() - self._made
        if age > LONGEST_SECONDS or base.forks >= MOST_FORKS:
            self.make()
        return base

    def accepts(self, app: int) -> None:
        """The process `app` accepts connections, and may be one that was forked here."""
        if self._current is not None:
            self._current.accepts(app)

    def _is_outdated(self) -> bool:
        with suppress(OSError):
            is_another = self.maker is None or self._program.version() != self.maker.program
            return is_another or self._mapped is None or self._mapped.are_replaced()
        return True

    @property
    def made(self) -> float:
        """When it could fork first, in monotonic seconds."""
        return self._made

    @property
    def libraries(self) -> Mapping[str, FolderVersion]:
        """The folders of the libraries that it has in memory, as they were when `fresh` looked."""
        return self._mapped.folders if self._mapped is not None else {}

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that the base has imported."""
        return self._current.imported.modules if self._current is not None else ()

    @property
    def state(self) -> BaseState | None:
        """The base, if there is one."""
        base = self._current
        return None if base is None else base.state(self._program.python, self._made)

    async def close(self) -> None:
        """End it, and wait for that: the daemon ends."""
        self._is_closed = True
        bases = [base for base in (self._current, self._coming) if base is not None]
        self._current = self._coming = None
        for base in bases:
            base.end()
            with suppress(TimeoutError):
                await asyncio.wait_for(base.ended.wait(), _DYING_SECONDS)
