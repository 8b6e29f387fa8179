"""Starts the process of an app in one of two ways: forked from a base, or by exec.

Both give it the same descriptors, identity, limits, control group, folder and environment.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from emperor.bases.bases import Bases
from emperor.bases.order import App, Order, Place, User
from emperor.bases.request import Forked, Request, Sharing
from emperor.linux.groups import entering
from emperor.linux.processes import LedProcess, Spawner, as_identity
from emperor.model.cause import StartMethod
from emperor.model.ports import CannotLaunch, Exit
from emperor.model.spec import Identity
from emperor.uwsgi.boot_files import BootFiles

# Told how a process was started: as a value, and in words.
OnWay = Callable[[StartMethod, str], object]


@dataclass(frozen=True, slots=True)
class Start:
    """What an app starts with. `command` is the program uwsgi with its arguments, and `home` that
    of its Python. `identity` is None for the user of the daemon. `entrances` are the files by which
    a process enters its control group. `by_exec` is why it cannot be forked; empty if it can.
    `sharing` is why it has no base of its home, where it has none."""

    command: Sequence[str]
    environment: Mapping[str, str]
    home: str
    folder: Path
    identity: Identity | None
    no_new_privs: bool
    open_files: tuple[int, int]
    nice: int | None
    entrances: Sequence[str]
    fds: Mapping[int, int]
    by_exec: str
    sharing: Sharing | str


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts apps, from `bases` where that can be; `boot_files` tell what they read."""

    spawner: Spawner
    bases: Bases
    boot_files: BootFiles

    def start(self, start: Start, on_exit: Callable[[Exit], None], on_way: OnWay) -> LedProcess:
        """The process of the app; `on_way` is told how it was started. Raises CannotLaunch and
        OSError."""
        why = start.by_exec or self.bases.why_none
        if not why:
            if forked := self._fork(start, on_exit, on_way):
                of_home = f" of {forked.home}" if forked.home else ""
                if forked.why_not:
                    of_home = f", and not from one of {start.home}: {forked.why_not}"
                on_way(StartMethod.FORK, f"forked from a base{of_home}")
                return forked.process
            why = "no base could fork it"
        process = self._exec(start, on_exit)
        _tell_exec(on_way, why)
        return process

    def _fork(
        self,
        start: Start,
        on_exit: Callable[[Exit], None],
        on_way: OnWay,
    ) -> Forked | None:
        with ExitStack() as stack:
            entrances = []
            for path in start.entrances:
                try:
                    entrances.append(fd := os.open(path, os.O_WRONLY | os.O_CLOEXEC))
                except OSError:  # no descriptor is left; a shell that execs needs none of ours
                    return None
                stack.callback(os.close, fd)
            request = Request(
                order=_order(start),
                fds=[*start.fds.values()],
                entrances=entrances,
                sharing=start.sharing,
                on_exit=on_exit,
                on_unfit=partial(_tell_exec, on_way),
            )
            return self.bases.start(request)

    def _exec(self, start: Start, on_exit: Callable[[Exit], None]) -> LedProcess:
        command = start.command
        if start.identity is not None:
            command = as_identity(start.identity, command, no_new_privs=start.no_new_privs)
        command = entering(start.entrances, start.open_files, start.nice, command)
        with _in_folder(start.folder):
            return self.spawner.spawn(command, start.environment, start.fds, on_exit)


def _tell_exec(on_way: OnWay, why: str) -> None:
    on_way(StartMethod.EXEC, f"by exec: {why}")


def _order(start: Start) -> Order:
    who = start.identity
    place = Place(
        environment=dict(start.environment),
        home=start.home,
        folder=str(start.folder),
        user=user_of(who),
        no_new_privs=start.no_new_privs,
        open_files=start.open_files,
        nice=start.nice or 0,
        targets=tuple(start.fds),
        entrances=start.entrances,
    )
    return Order(place, App(start.command[0], start.command[1:]))


def user_of(who: Identity | None) -> User | None:
    """The user, as bases have it."""
    return User(who.uid, who.gid, who.user) if who else None


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Change the daemon's own folder for a moment, since posix_spawn(3) cannot set that of the
    child. Raises CannotLaunch."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise CannotLaunch(f"cannot enter {folder}: {error.strerror}") from error
    try:
        yield
    finally:
        os.chdir("/")
