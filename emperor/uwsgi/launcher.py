"""Starts vassals as uWSGI processes: argv, environment, pipe, log and process put together."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from weakref import WeakSet

from emperor.linux.holders import holder_of
from emperor.linux.limits import limit_open_files
from emperor.linux.orphans import Family, Known, Mark, OrphanHunt, descendants, parent_of
from emperor.linux.processes import (
    LedProcess,
    Spawner,
    as_identity,
    leader_with_socket,
    open_log,
)
from emperor.model.log_fields import about
from emperor.model.ports import (
    CannotLaunch,
    Exit,
    KeptText,
    Listener,
    Message,
    ProcessEvents,
)
from emperor.model.settings import Settings
from emperor.model.snapshot import ProcessRef
from emperor.model.spec import Spec
from emperor.uwsgi.command import LISTENER_FD, PIPE_FD, argv, environment
from emperor.uwsgi.copies import IniCopies, remove_copy
from emperor.uwsgi.exits import Circumstances, Killed, explain_exit, explain_replacement
from emperor.uwsgi.options import uwsgi_options
from emperor.uwsgi.pipe import GRACEFUL_STOP, Pipe
from emperor.uwsgi.pythons import own_python_home

log = logging.getLogger("emperord.launcher")

# The end of the output that may explain an exit.
_OUTPUT_BYTES = 16384

# A worker that dies is replaced two seconds later, if another one died in the same second.
_REMINDER_SECONDS = 3.0
# An app can cause reminders as often as it likes.
_BETWEEN_REMINDERS_SECONDS = 0.1
# On a busy machine a younger worker may not have its own signal handlers yet.
_WORKER_READY_SECONDS = 1.0

# Spawns a process with these descriptors, and calls back after its exit.
_Spawn = Callable[[Mapping[int, int], Callable[[Exit], None]], LedProcess]


@dataclass(frozen=True, slots=True)
class _SpawnEvents:
    """The events of the process of one spawn."""

    domain: str
    generation: int
    events: ProcessEvents
    around: Circumstances

    def on_message(self, message: Message) -> None:
        """The process sent a byte."""
        self.events.on_message(self.domain, self.generation, message)

    def on_exit(self, ended: Exit, printed: str, killed: Killed) -> None:
        """The process has exited. `printed` is the end of its output."""
        cause = explain_exit(ended, printed, self.around, killed)
        self.events.on_exit(self.domain, self.generation, replace(ended, cause=cause))


def _mark(ref: ProcessRef) -> Mark:
    """By what the processes of an app are recognised, wherever they have gone. The inode of the
    pipe is the number of the spawn, and the pipe itself is in every process that only forked."""
    return Mark(f"EMPERORD_SPAWN={ref.pipe_inode}", ref.pipe_inode, PIPE_FD)


class UwsgiProcess:
    """A uWSGI master with its pipe, before and after its spawn.

    A master that is told to stop sends SIGHUP to its workers, and waits for them without a limit.
    A worker that it forks at that moment still has the handlers of the master, misses the signal,
    and serves on. So workers that may have missed it are reminded.
    """

    def __init__(
        self,
        pipe: Pipe,
        ref: ProcessRef,
        events: _SpawnEvents,
        spawn: _Spawn,
        family: Family,
    ) -> None:
        self._family = family
        self._reaper = os.getpid()
        self._left: list[Known] = []
        self._pipe = pipe
        self._ref = ref
        self._events = events
        self._spawn = spawn
        self._loop = family.loop
        self._process: LedProcess | None = None
        self._reminder: asyncio.TimerHandle | None = None
        self._last_reminder = -inf
        self._killed = Killed.NOT
        # Whether another process of the app has made anew what the end of this one would delete.
        self.is_replaced: Callable[[], bool] = lambda: False
        pipe.on_end = self._workers_exited

    def start(self) -> None:
        """Spawn the master. Raises CannotLaunch, and then nothing is left open."""
        try:
            log_fd = self._open_log()
            try:
                fds = {1: log_fd, 2: log_fd, PIPE_FD: self._pipe.far_fd}
                self._process = self._spawn(fds, self._exited)
            finally:
                os.close(log_fd)
        except BaseException:
            self._pipe.close()
            remove_copy(self._ref.copy)
            raise
        self._pipe.close_far()
        self._ref.pid = self._process.pid
        self._family.leaders.add(self.pid)

    def take_over(self, pidfd: int) -> None:
        """Go on with a master that an earlier daemon spawned."""
        self._process = LedProcess(self.pid, pidfd, self._loop, self._exited)
        self._family.leaders.add(self.pid)
        self._reaper = parent_of(self.pid) or self._reaper
        if self._ref.stop_heard_by is not None:
            self._remind_later()

    def _open_log(self) -> int:
        """The log, or /dev/null: an app must start on a full disk too."""
        try:
            fd = open_log(self._ref.log)
        except CannotLaunch as error:
            log.warning(
                "%s: %s; what it prints is lost",
                self._events.domain, error, extra=about(self._events.domain),
            )  # fmt: skip
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._ref.log_begins = os.lseek(fd, 0, os.SEEK_END)
        return fd

    @property
    def pid(self) -> int:
        """The master's pid and its group's id."""
        assert self._ref.pid is not None
        return self._ref.pid

    @property
    def domain(self) -> str:
        """The domain that it serves."""
        return self._events.domain

    @property
    def is_running(self) -> bool:
        """Whether it was spawned and has not exited."""
        return self._process is not None and self._process.pidfd is not None

    @property
    def ref(self) -> ProcessRef:
        """What the next daemon knows the process by."""
        return self._ref

    @property
    def fds(self) -> tuple[int, ...]:
        """Its pipe and, while it runs, its pidfd."""
        pidfd = self._process.pidfd if self._process else None
        return (self._pipe.fd,) if pidfd is None else (self._pipe.fd, pidfd)

    def stop(self) -> None:
        """Ask for a graceful stop."""
        if self._process is not None:
            informed = self._process.children(older_than_seconds=_WORKER_READY_SECONDS)
            self._ref.stop_heard_by = informed
            self._left = descendants(self.pid)
            self._pipe.send(GRACEFUL_STOP)
            self._remind_later()

    def remind(self) -> None:
        """Send SIGHUP to the workers that may have missed it when the master was told to stop."""
        now = self._loop.time()
        if (
            self._process is not None
            and self._ref.stop_heard_by is not None
            and now > self._last_reminder + _BETWEEN_REMINDERS_SECONDS
        ):
            self._last_reminder = now
            self._process.hang_up_children(but=self._ref.stop_heard_by)
            self._remind_later()

    def _remind_later(self) -> None:
        if self._reminder is not None:
            self._reminder.cancel()
        self._reminder = self._loop.call_later(_REMINDER_SECONDS, self.remind)

    def kill(self) -> None:
        """SIGKILL the whole group."""
        if self._process is not None:
            self._killed = Killed.UNTOLD if self._ref.stop_heard_by is None else Killed.TOLD
            self._process.kill()

    def why_replaced(self) -> str:
        """Why the last worker died that the master has replaced, empty where none did."""
        return explain_replacement(self._output_end())

    def _workers_exited(self) -> None:
        """All requests are finished. The vacuum of the master would delete the pidfile and the
        stats socket of a successor; it does not run at a SIGKILL."""
        if self._process is not None and self.is_replaced():
            self._process.kill()

    def _exited(self, ended: Exit) -> None:
        if self._reminder is not None:
            self._reminder.cancel()
        self._pipe.close()
        remove_copy(self._ref.copy)
        self._family.leaders.discard(self.pid)
        OrphanHunt(self._family, _mark(self._ref), self._reaper).end(self._left)
        self._events.on_exit(ended, self._output_end(), self._killed)

    def _output_end(self) -> str:
        try:
            with open(self._ref.log, "rb") as file:
                end = file.seek(0, os.SEEK_END)
                # If logrotate has cut the log meanwhile, all of it is of this process.
                begins = self._ref.log_begins if self._ref.log_begins <= end else 0
                file.seek(max(begins, end - _OUTPUT_BYTES))
                return file.read(_OUTPUT_BYTES).decode(errors="replace")
        except OSError:
            return ""


class UwsgiLauncher:
    """Runs `uwsgi` for each spec. It starts in the folder of inis, since uWSGI resolves %v and
    relative includes against that. `open_files` are the soft and hard limits of each vassal."""

    def __init__(
        self,
        uwsgi: Path,
        settings: Settings,
        spawner: Spawner,
        open_files: tuple[int, int],
    ) -> None:
        self._uwsgi = str(uwsgi)
        self._python_home = own_python_home(uwsgi)
        self._defaults = str(settings.vassal_defaults)
        self._open_files = open_files
        self._vassals = settings.vassals_dir
        self._copies = IniCopies(settings.vassals_dir, settings.run_dir)
        self._log_dir = settings.log_dir
        self._loop = spawner.loop
        self._processes: WeakSet[UwsgiProcess] = WeakSet()
        self._family = Family(spawner.loop)
        self._spawner = spawner

    def prepare(
        self,
        spec: Spec,
        listener: Listener,
        generation: int,
        events: ProcessEvents,
        kept: KeptText | None = None,
    ) -> UwsgiProcess:
        """A process for `spec` that is not started yet. Raises CannotLaunch."""
        if listener.fd < 0:
            raise CannotLaunch(f"cannot serve on {spec.socket}: it could not be bound again")
        spawn_events = self._events(spec, generation, events)
        try:
            pipe = Pipe.new(self._loop, spawn_events.on_message)
        except OSError as error:
            raise CannotLaunch(f"cannot spawn uWSGI: {error.strerror}") from error
        ref = ProcessRef(
            runtime=spec.runtime.name,
            pid=None,
            pipe_inode=os.fstat(pipe.far_fd).st_ino,
            log=os.path.join(self._log_dir, f"{spec.domain}.log"),
        )
        try:
            ref.copy = self._copies.make_if_changed(spec, kept, str(ref.pipe_inode))
        except CannotLaunch:
            pipe.close()
            raise
        start = partial(self._spawn, spec, listener, ref)
        process = UwsgiProcess(pipe, ref, spawn_events, start, self._family)
        self._note(process, spec)
        return process

    def adopt(
        self,
        spec: Spec,
        ref: ProcessRef,
        fds: Sequence[int],
        generation: int,
        events: ProcessEvents,
    ) -> UwsgiProcess | None:
        """Go on with a process of an earlier daemon; None where it was not spawned."""
        pipe_fd, *pidfds = fds
        pid = ref.pid
        if pid is None:
            # The earlier daemon died before it could save the pid.
            found = leader_with_socket(ref.pipe_inode, PIPE_FD)
            if found is None:
                os.close(pipe_fd)
                remove_copy(ref.copy)
                return None
            pid, pidfds = found[0], [found[1]]
        spawn_events = self._events(spec, generation, events)
        pipe = Pipe.adopted(pipe_fd, self._loop, spawn_events.on_message)
        ref.pid = pid
        process = UwsgiProcess(pipe, ref, spawn_events, _cannot_spawn_again, self._family)
        self._note(process, spec)
        process.take_over(pidfds[0])
        return process

    def _events(self, spec: Spec, generation: int, events: ProcessEvents) -> _SpawnEvents:
        around = Circumstances(partial(self._holder, spec.domain), spec.foreign_sockets)
        return _SpawnEvents(spec.domain, generation, events, around)

    def _note(self, process: UwsgiProcess, spec: Spec) -> None:
        self._processes.add(process)
        if uwsgi_options(spec).vacuums:
            process.is_replaced = partial(self._has_other, spec.domain, process)

    def _has_other(self, domain: str, process: UwsgiProcess) -> bool:
        """Whether another process of that vassal runs beside this one."""
        return any(
            other.domain == domain and other.is_running and other is not process
            for other in tuple(self._processes)
        )

    def _holder(self, domain: str, address: str) -> str:
        """What listens at `address`, in words for the vassal `domain` that cannot."""
        leaders = {process.pid: process.domain for process in self._processes if process.is_running}
        found = holder_of(address, leaders)
        if found is None:
            return "by a process that has gone meanwhile"
        if found.pid is None:
            return f"by a process of {found.user}" if found.user else "by another process"
        owner = leaders.get(found.group or 0)
        if owner == domain:
            return f"by an earlier process of this app (pid {found.pid})"
        return f"by {owner or found.name} (pid {found.pid})"

    def _spawn(
        self,
        spec: Spec,
        listener: Listener,
        ref: ProcessRef,
        fds: Mapping[int, int],
        on_exit: Callable[[Exit], None],
    ) -> LedProcess:
        options = uwsgi_options(spec)
        home = self._python_home if options.python_home is None else options.python_home
        defaults = self._defaults if options.defaults else ""
        command = argv(options.binary or self._uwsgi, spec, home, ref.copy, defaults)
        if spec.identity is not None:
            command = as_identity(spec.identity, command)
        env = environment(spec, os.environ, _mark(ref).variable)
        try:
            with _in_folder(self._vassals):
                fds = {**fds, LISTENER_FD: listener.fd}
                process = self._spawner.spawn(command, env, fds, on_exit)
        except OSError as error:
            raise CannotLaunch(f"cannot spawn {command[0]}: {error.strerror}") from error
        limit_open_files(process.pid, self._open_files)
        return process


def _cannot_spawn_again(_fds: Mapping[int, int], _on_exit: Callable[[Exit], None]) -> LedProcess:
    raise CannotLaunch("cannot spawn a process that an earlier emperord spawned")


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
