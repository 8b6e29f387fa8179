"""The base of one home: a virtual environment, whose modules it has imported as the user of its
apps."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from emperor.bases.base_process import (
    CONTROL_FD,
    BaseProcess,
    BaseState,
    Held,
    OnExit,
    OnUnfit,
    message,
)
from emperor.bases.kept_base import KeptBase, Maker, Recipe, Surroundings
from emperor.bases.order import Order, Place
from emperor.bases.request import Request, Sharing, name_of
from emperor.bases.root_base import LONGEST_SECONDS, MOST_FORKS
from emperor.linux.groups import ControlGroup
from emperor.linux.memory import memory_of
from emperor.linux.processes import LedProcess
from emperor.model.ports import CannotLaunch, Exit
from emperor.model.text import one_line

log = logging.getLogger("emperord.home_base")

_OUTPUTS = (1, 2)
# It has grown if it has more than both. Its spares copy up to 48 MB ahead.
_MORE_BYTES, _MUCH_MORE = 64 << 20, 2

# Has the base of the standard library become what an order says.
Become = Callable[[bytes, Sequence[int], OnExit], LedProcess | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A base that is to be made of these modules, in these surroundings."""

    modules: Sequence[str]
    surroundings: Surroundings


@dataclass(frozen=True, slots=True)
class Earlier:
    """A base that an earlier daemon has made so, at that moment in monotonic seconds."""

    modules: Sequence[str]
    surroundings: Surroundings
    held: Held
    group: ControlGroup | None
    made: float


class Keeper(Protocol):
    """Whoever is told what becomes of a base."""

    def on_ready(self, base: "HomeBase") -> None:
        """The base can fork."""

    def on_stale(self, base: "HomeBase") -> None:
        """The packages of its home have changed."""

    def on_end(self, base: "HomeBase") -> None:
        """The base has exited."""


class HomeBase:
    """A base of a home, from its making to its end; there may be another one after it."""

    def __init__(
        self,
        sharing: Sharing,
        source: Wanted | Earlier,
        become: Become,
        loop: asyncio.AbstractEventLoop,
        keeper: Keeper,
    ) -> None:
        """Make it, or go on with an earlier one. Raises CannotLaunch and OSError."""
        earlier = source if isinstance(source, Earlier) else None
        self._sharing = sharing
        self.asked_for = frozenset(source.modules)
        self.modules = source.modules
        self.surroundings = source.surroundings
        self._become = become
        self._loop = loop
        self._keeper = keeper
        self._is_ended = False
        # Why it has ended by itself; empty while it has not.
        self.why_ended = ""
        self._group = earlier.group if earlier else sharing.group(sharing.limits)
        self.last_used = loop.time()
        self.begun = self._made = earlier.made if earlier else loop.time()
        self._is_ready = earlier is not None
        # When it could fork first, or when this daemon went on with it.
        self._first_memory = self._memory() if earlier else None
        self._has_grown = False
        try:
            uid = sharing.home.user.uid if sharing.home.user else os.geteuid()
            begin = earlier.held if earlier else self._launch
            self._base = BaseProcess(begin, loop, self, uid)
        except BaseException:
            self._close_group()
            raise

    def _launch(self, control: socket.socket, on_exit: OnExit) -> LedProcess:
        home = self._sharing.home
        entrances = self._group.entrances if self._group else []
        targets = (*_OUTPUTS, CONTROL_FD)
        place = Place(
            environment=self._sharing.environment,
            home=home.python,
            folder="/",
            user=home.user,
            no_new_privs=home.no_new_privs,
            open_files=home.open_files,
            nice=0,
            targets=targets,
            entrances=entrances,
        )
        order = message(Order(place, None, self.modules))
        with ExitStack() as stack:
            # What a tenant's modules print is for nobody.
            fds = [_for_writing(os.devnull, stack) for _ in _OUTPUTS]
            entered = [_for_writing(path, stack) for path in entrances]
            process = self._become(order, [*fds, control.fileno(), *entered], on_exit)
        if process is None:
            raise CannotLaunch("there is no base of the standard library")
        return process

    def why_not(self, request: Request) -> str:
        """Why an app cannot be forked from here; empty: it can, if there is a spare."""
        if not self._is_ready:
            return "it is not ready yet"
        return "only root may lower the nice value" if request.order.place.nice < 0 else ""

    def start(self, request: Request) -> LedProcess | None:
        """The app of that request, which can be forked from here; None where there is no spare."""
        self.last_used = self._loop.time()
        # Its process has that user already, and may not enter a group by itself.
        place = replace(request.order.place, user=None, entrances=())
        order = replace(request.order, place=place)
        return self._base.start(
            message(order), request.fds, request.on_exit, self._unfit(request), request.entrances
        )

    def accepts(self, app: int) -> None:
        """The process `app` accepts connections, and may be one that was forked here."""
        self._base.accepts(app)

    def _unfit(self, request: Request) -> OnUnfit:
        """An app that finds itself unfit has found the base outdated: all else was asked before."""

        def unfit(why: str) -> None:
            request.on_unfit(why)
            if not self._is_ended:
                self._keeper.on_stale(self)

        return unfit

    @property
    def sharing(self) -> Sharing:
        """What it was made for."""
        return self._sharing

    @property
    def made(self) -> float:
        """When it could fork first, or when it was begun."""
        return self._made

    def measure(self) -> None:
        """Look how much memory it has."""
        now, first = self._memory(), self._first_memory
        if now is not None and first is not None:
            self._has_grown |= now > max(first + _MORE_BYTES, _MUCH_MORE * first)

    def _memory(self) -> int | None:
        group = self._group
        found = map(memory_of, group.groups.folders(group.name) if group else ())
        return next((memory for memory in found if memory is not None), None)

    @property
    def is_old(self) -> bool:
        """Whether it has served for long, or has grown. Whether its virtual environment has changed
        is found by its spares: only the user of the apps looks into that."""
        age = self._loop.time() - self._made
        return self._has_grown or age > LONGEST_SECONDS or self._base.forks >= MOST_FORKS

    def on_ready(self, base: BaseProcess) -> None:
        """The process of this base can fork."""
        self._is_ready = True
        self._made = self._loop.time()
        self._first_memory = self._memory()
        self._keeper.on_ready(self)

    def on_end(self, base: BaseProcess, ended: Exit) -> None:
        """The process of this base has exited."""
        if not self._is_ended:
            self.why_ended = one_line(base.problem or str(ended))
            log.warning(
                "cannot fork apps from a base of %s: %s; they are forked from that of the standard"
                " library",
                self._sharing.home.python,
                self.why_ended,
            )
        self._is_ready = False
        self._close_group()
        self._keeper.on_end(self)

    def _close_group(self) -> None:
        if self._group is not None:
            self._group.close()
            self._group = None

    def state(self, python: str) -> BaseState | None:
        """What it is now, if it can fork."""
        if not self._is_ready:
            return None
        home = self._sharing.home
        return self._base.state(python, self._made, home.python, name_of(home.user))

    def kept(self, maker: Maker) -> KeptBase | None:
        """What the next daemon has to know of it, as it is now; None if it cannot fork. `maker` is
        the version that has made it."""
        if not self._is_ready:
            return None
        sharing, base = self._sharing, self._base
        modules = tuple(self.modules)
        recipe = Recipe(
            sharing.home, sharing.environment, sharing.limits, modules, self.surroundings
        )
        group = self._group.name if self._group else ""
        return KeptBase(base.pid, maker, base.imported, self._made, base.forks, recipe, group)

    @property
    def process(self) -> BaseProcess:
        """The process of this base."""
        return self._base

    @property
    def ended(self) -> asyncio.Event:
        """An event that is set when the process has exited."""
        return self._base.ended

    def end(self) -> None:
        """Kill the base."""
        self._is_ended = True
        self._base.end()


def _for_writing(path: str, stack: ExitStack) -> int:
    """A descriptor that is closed with the stack. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd
