"""One base that runs: what it has imported, and the spares that it has forked."""

import array
import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import msgspec

from emperor.bases.hot_pages import HotPages
from emperor.bases.order import Import, Imported, Order
from emperor.bases.spare import Spare, channels, says_something, spare_at
from emperor.linux.processes import LedProcess
from emperor.model.json_value import from_json
from emperor.model.ports import Exit
from emperor.model.text import one_line

# The number of its control socket.
CONTROL_FD = 3
# At least as many apps can start at the same moment.
_SPARES = 2
_MOST_TRIES = 10
# For so long the loop of the daemon may wait for a spare that it has asked for. A fork takes 1 ms.
_PATIENCE_SECONDS = 0.1
# A base that cannot fork after so long is killed.
_LOADING_SECONDS = 60.0
_FORKING_SECONDS = 5.0
# Without a descriptor or a process, a base that has forked nothing yet is asked again after that.
_AGAIN_SECONDS = 1.0
_ANSWER_BYTES = 1 << 18
_REPORT_BYTES = 512
_LONGEST_PROBLEM = 500

OnExit = Callable[[Exit], None]
# Is called with the reason for which a spare leaves its order to the program uwsgi.
OnUnfit = Callable[[str], object]
# Starts the process of a base, which has that socket for its control socket.
Launch = Callable[[socket.socket, OnExit], LedProcess]


def message(of: Import | Order) -> bytes:
    """What a base or a spare is told, as JSON. Raises UnicodeEncodeError for a path that is no
    UTF-8."""
    return msgspec.json.encode(of)


@dataclass(frozen=True, slots=True)
class BaseState:
    """A base that can fork. `home` is that of its Python, and `user` whom it runs as; both are
    empty for the one that holds the standard library. `spares` are the pids of what it has forked.
    `made` is the moment in monotonic seconds."""

    python: str
    home: str
    user: str
    pid: int
    spares: tuple[int, ...]
    made: float
    forks: int
    modules: tuple[str, ...]
    left_out: Mapping[str, str]

    @property
    def pids(self) -> tuple[int, ...]:
        """The base and its spares."""
        return (self.pid, *self.spares)


@dataclass(frozen=True, slots=True)
class Held:
    """A base of an earlier daemon, by our end of its control socket and a pidfd. What it forks are
    children of the daemon only if it `is_child`."""

    pid: int
    control: socket.socket
    pidfd: int
    is_child: bool
    imported: Imported
    forks: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """A spare that was asked for: `overdue` is when it comes too late, and `inode` is that of the
    socket at its end."""

    overdue: asyncio.TimerHandle
    inode: int


class Owner(Protocol):
    """Who has made a base."""

    def on_ready(self, base: "BaseProcess") -> None:
        """The base has imported its modules, and can fork."""

    def on_end(self, base: "BaseProcess", ended: Exit) -> None:
        """The base has exited."""


class BaseProcess:
    """A base, from its start to its end. Apps that were forked from it outlive it."""

    def __init__(
        self,
        begin: Launch | Held,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        uid: int | None = None,
    ) -> None:
        """Start one, or go on with one that can fork. `uid` is that of a tenant, whose code it
        runs; None for none. Raises CannotLaunch and OSError."""
        self._uid = uid
        self.problem = ""
        self._loop = loop
        self._owner = owner
        self.imported = Imported((), {})
        self.forks = 0
        self.can_fork = False
        self.is_child = True
        # Is called when it is of no use to another daemon any more.
        self.on_leave: Callable[[], object] = lambda: None
        self.ended = asyncio.Event()
        self._ready: deque[Spare] = deque()
        # When each one is overdue, in the order in which they were asked for.
        self._asked: dict[socket.socket, _Asked] = {}
        self._ordered: set[socket.socket] = set()
        self._starting: set[int] = set()
        self._hot_pages = HotPages(loop)
        # Its end if it cannot fork by then, and the next time that it is asked to.
        self._deadline: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None
        if isinstance(begin, Held):
            self._go_on(begin)
        else:
            self._begin(begin)

    def _go_on(self, held: Held) -> None:
        self._control = held.control
        self.imported, self.forks, self.is_child = held.imported, held.forks, held.is_child
        self.can_fork = True
        self._process = LedProcess(held.pid, held.pidfd, self._loop, self._exited)
        self._fill_up()

    def _begin(self, launch: Launch) -> None:
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with far:
                self._process = launch(far, self._exited)
        except BaseException:
            self._control.close()
            raise
        self._deadline = self._loop.call_later(_LOADING_SECONDS, self._cannot_fork)
        self._loop.add_reader(self._control, self._answered)

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    @property
    def fds(self) -> tuple[int, int] | None:
        """What holds it: its control socket and its pidfd; None after its exit."""
        pidfd = self._process.pidfd
        return None if pidfd is None else (self._control.fileno(), pidfd)

    @property
    def spares(self) -> tuple[int, ...]:
        """The pids of those that wait for an order."""
        return tuple(spare.pid for spare in self._ready)

    def state(self, python: str, made: float, home: str = "", user: str = "") -> BaseState:
        """The state of the base now."""
        return BaseState(
            python=python,
            home=home,
            user=user,
            pid=self.pid,
            spares=self.spares,
            made=made,
            forks=self.forks,
            modules=self.imported.modules,
            left_out=self.imported.left_out,
        )

    def tell(self, message: bytes) -> None:
        """Send it a message."""
        with suppress(OSError):  # its exit is reported
            self._control.send(message)

    def _answered(self) -> None:
        self._loop.remove_reader(self._control)
        with suppress(OSError, ValueError):
            self.imported = from_json(self._control.recv(_ANSWER_BYTES), Imported)
            self.problem = one_line(self.imported.problem)[:_LONGEST_PROBLEM]
            if not self.imported.problem:
                self._fork_first()
                return
        self.end()

    def _fork_first(self) -> None:
        """Have it fork its first spares, now or later."""
        self._again = None
        self._fill_up()
        if not self._asked:
            self._again = self._loop.call_later(_AGAIN_SECONDS, self._fork_first)

    def _ask(self) -> bool:
        """Have it fork a spare. Whether it was told."""
        try:
            near, far = channels()
        except OSError:  # no descriptor is left
            return False
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [far.fileno()]))
        with far:
            inode = os.fstat(far.fileno()).st_ino
            try:
                self._control.sendmsg([b"f", self._hot_pages.packed], [rights], socket.MSG_DONTWAIT)
            except OSError:
                near.close()
                return False
        overdue = self._loop.call_later(_FORKING_SECONDS, self._too_slow, "fork", _FORKING_SECONDS)
        self._asked[near] = _Asked(overdue, inode)
        self._loop.add_reader(near, self._hello, near)
        return True

    def _hello(self, channel: socket.socket) -> None:
        self._loop.remove_reader(channel)
        asked = self._asked.pop(channel)
        asked.overdue.cancel()
        uid = os.geteuid() if self._uid is None else self._uid
        if spare := spare_at(channel, uid, None if self.is_child else asked.inode):
            self._ready.append(spare)
            if not self.can_fork:
                self.can_fork = True
                self._cancel_timers()
                self._owner.on_ready(self)
        elif not (self.can_fork or self._asked or self._again):
            self._again = self._loop.call_later(_AGAIN_SECONDS, self._fork_first)

    def _take(self) -> Spare | None:
        """A spare that can take an order; None where none comes soon."""
        for _ in range(_MOST_TRIES):
            self._fill_up()
            if self._ready:
                spare = self._ready.popleft()
                if spare.waits:
                    self.forks += 1
                    return spare
                spare.end()
                if self._uid is not None:
                    self.problem = self.problem or "somebody has stopped or ended its spares"
                    self.end()
                    break
            # The daemon waits for no process of a tenant's.
            elif self._uid is not None or not self._await_first():
                break
        return None

    def _await_first(self) -> bool:
        """Wait for the spare that was asked for first, if that was just now."""
        channel = next(iter(self._asked), None)
        if channel is None:
            return False
        asked = self._asked[channel].overdue.when() - _FORKING_SECONDS
        if not says_something(channel, asked + _PATIENCE_SECONDS - self._loop.time()):
            return False
        self._hello(channel)
        return True

    def _fill_up(self) -> None:
        while len(self._ready) + len(self._asked) < _SPARES and self._ask():
            pass

    def start(
        self,
        order: bytes,
        fds: Sequence[int],
        on_exit: OnExit,
        on_unfit: OnUnfit,
        entrances: Sequence[int] = (),
    ) -> LedProcess | None:
        """What a spare becomes by that order; None if there is none. It is put into the control
        groups of these `entrances`."""
        spare = self._take()
        if spare is None:
            return None
        try:
            for entrance in entrances:
                os.write(entrance, str(spare.pid).encode())
            spare.give(order, fds)
        except OSError:
            spare.end()
            return None
        finally:
            # Only now: the base takes a core for its fork.
            self._fill_up()
        channel = spare.channel
        self._starting.add(spare.pid)
        self._ordered.add(channel)
        self._loop.add_reader(channel, self._reports, channel, on_unfit)

        def exited(ended: Exit) -> None:
            # The app may have given its end to another process.
            self._forget(channel)
            self._starting.discard(spare.pid)
            on_exit(ended)

        return LedProcess(spare.pid, spare.pidfd, self._loop, exited)

    def accepts(self, app: int) -> None:
        """The process `app` accepts connections, and may be one that was forked here."""
        if app in self._starting:
            self._starting.discard(app)
            self._hot_pages.learn(app, self.pid)

    def _reports(self, channel: socket.socket, on_unfit: OnUnfit) -> None:
        """The app has begun, in one of the two ways. What it says is the word of a tenant."""
        with suppress(OSError):
            if said := channel.recv(_REPORT_BYTES, socket.MSG_DONTWAIT):
                on_unfit(one_line(said.decode(errors="replace")))
        self._forget(channel)

    def _forget(self, channel: socket.socket) -> None:
        if channel in self._ordered:
            self._ordered.discard(channel)
            self._loop.remove_reader(channel)
            channel.close()

    def _cannot_fork(self) -> None:
        self._deadline = None
        # It has answered if it was asked to fork.
        self._too_slow("fork" if self._again or self._asked else "import", _LOADING_SECONDS)

    def _too_slow(self, what: str, seconds: float) -> None:
        self.problem = f"it did not {what} within {seconds:.0f} s"
        self.end()

    def _cancel_timers(self) -> None:
        for timer in (self._deadline, self._again):
            if timer is not None:
                timer.cancel()
        self._deadline = self._again = None

    def end(self) -> None:
        """Kill it and its spares."""
        self.on_leave()
        self._process.kill()

    def _exited(self, ended: Exit) -> None:
        self.on_leave()
        self._cancel_timers()
        for asked in self._asked.values():
            asked.overdue.cancel()
        for channel in (self._control, *self._asked, *self._ordered):
            self._loop.remove_reader(channel)
            channel.close()
        for spare in self._ready:
            spare.end()
        self._ready.clear()
        self._asked.clear()
        self._ordered.clear()
        self.ended.set()
        self._owner.on_end(self, ended)
