"""Starts vassals as uWSGI processes: argv, environment, pipe, log and process put together."""

import logging
import os
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emperor.linux.processes import ChildProcess, as_identity, open_log, spawn
from emperor.model.ports import CannotLaunch, Listener, News, Owner
from emperor.model.settings import Settings
from emperor.model.vassal import Spec
from emperor.uwsgi.autopsy import cause_of_death
from emperor.uwsgi.command import LISTENER_FD, PIPE_FD, argv, environment
from emperor.uwsgi.pipe import GRACEFUL_STOP, Pipe

log = logging.getLogger("emperord")

_AUTOPSY_BYTES = 8192


class UwsgiProcess:
    """A uWSGI master, its pipe, and where its output begins in the log."""

    def __init__(
        self, loop: AbstractEventLoop, log_path: str, domain: str, generation: int, owner: Owner
    ) -> None:
        self._log = log_path
        self._domain = domain
        self._generation = generation
        self._owner = owner
        self._child: ChildProcess | None = None
        self._log_begins = 0
        self._pipe = Pipe(loop, self._heard)
        self._loop = loop

    def start(self, command: list[str], env: dict[str, str], listener_fd: int) -> None:
        """Spawn it. Raises CannotLaunch, and then nothing is left open."""
        try:
            log_fd = self._open_log()
            try:
                self._child = spawn(
                    command,
                    env,
                    {1: log_fd, 2: log_fd, LISTENER_FD: listener_fd, PIPE_FD: self._pipe.far_fd},
                    self._loop,
                    self._exited,
                )
            finally:
                os.close(log_fd)
        except BaseException:
            self._pipe.close()
            raise
        self._pipe.close_far()

    def _open_log(self) -> int:
        """The log, or nowhere: a disk that is full must not keep an app from its visitors."""
        try:
            fd = open_log(self._log)
        except CannotLaunch as error:
            log.warning("%s: %s; what it prints is lost", self._domain, error)
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._log_begins = os.lseek(fd, 0, os.SEEK_END)
        return fd

    @property
    def pid(self) -> int:
        """The master's pid and its group's id."""
        assert self._child is not None
        return self._child.pid

    def drain(self) -> None:
        """Ask for a graceful stop."""
        self._pipe.send(GRACEFUL_STOP)

    def kill(self) -> None:
        """SIGKILL the whole group."""
        if self._child is not None:
            self._child.kill()

    def _heard(self, news: News) -> None:
        self._owner.heard(self._domain, self._generation, news)

    def _exited(self, how: str) -> None:
        self._pipe.close()
        self._owner.exited(self._domain, self._generation, cause_of_death(how, self._last_words()))

    def _last_words(self) -> str:
        try:
            with open(self._log, "rb") as file:
                end = file.seek(0, os.SEEK_END)
                # It may have been cut meanwhile, by logrotate say: then all of it is ours.
                begin = self._log_begins if self._log_begins <= end else 0
                file.seek(max(begin, end - _AUTOPSY_BYTES))
                return file.read(_AUTOPSY_BYTES).decode(errors="replace")
        except OSError:
            return ""


class UwsgiLauncher:
    """Runs `uwsgi` for each spec, in the folder of inis: uWSGI resolves %v and relative includes
    against the folder that it was started in."""

    def __init__(self, uwsgi: Path, settings: Settings, loop: AbstractEventLoop) -> None:
        self._uwsgi = str(uwsgi)
        self._vassals = settings.vassals
        self._log_dir = settings.log_dir
        self._loop = loop

    def launch(self, spec: Spec, listener: Listener, generation: int, owner: Owner) -> UwsgiProcess:
        """Spawn one process for `spec`. Raises CannotLaunch."""
        if listener.fd < 0:
            raise CannotLaunch(f"cannot serve on {spec.socket}: it could not be bound again")
        path = os.path.join(self._log_dir, f"{spec.domain}.log")
        command = argv(self._uwsgi, spec)
        if spec.identity is not None:
            command = as_identity(spec.identity, command)
        try:
            with _standing_in(self._vassals):
                process = UwsgiProcess(self._loop, path, spec.domain, generation, owner)
                process.start(command, environment(spec, os.environ), listener.fd)
        except OSError as error:
            raise CannotLaunch(f"cannot spawn {self._uwsgi}: {error.strerror}") from error
        return process


@contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    """posix_spawn(3) has no cwd, so the daemon lends its own. Raises CannotLaunch."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise CannotLaunch(f"cannot enter {folder}: {error.strerror}") from error
    try:
        yield
    finally:
        os.chdir("/")
