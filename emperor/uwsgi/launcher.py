"""Starts vassals as uWSGI processes: argv, environment, pipe, log and process put together."""

import os
from asyncio import AbstractEventLoop
from pathlib import Path

from emperor.linux.processes import ChildProcess, as_identity, open_log, spawn
from emperor.model.ports import Listener, News, Owner
from emperor.model.vassal import Spec
from emperor.uwsgi.autopsy import cause_of_death
from emperor.uwsgi.command import LISTENER_FD, PIPE_FD, argv, environment
from emperor.uwsgi.pipe import GRACEFUL_STOP, Pipe

_AUTOPSY_BYTES = 8192


class UwsgiProcess:
    """A uWSGI master, its pipe, and where its output begins in the log."""

    def __init__(
        self, loop: AbstractEventLoop, log: str, domain: str, generation: int, owner: Owner
    ) -> None:
        self._log = log
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
            log_fd = open_log(self._log)
            try:
                self._log_begins = os.lseek(log_fd, 0, os.SEEK_END)
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
            with open(self._log, "rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_begins, end - _AUTOPSY_BYTES))
                return log.read().decode(errors="replace")
        except OSError:
            return ""


class UwsgiLauncher:
    """Runs `uwsgi` for each spec, in the folder that the daemon stands in (its vassals)."""

    def __init__(self, uwsgi: Path, log_dir: Path, loop: AbstractEventLoop) -> None:
        self._uwsgi = str(uwsgi)
        self._log_dir = log_dir
        self._loop = loop

    def launch(self, spec: Spec, listener: Listener, generation: int, owner: Owner) -> UwsgiProcess:
        """Spawn one process for `spec`. Raises CannotLaunch."""
        log = os.path.join(self._log_dir, f"{spec.domain}.log")
        process = UwsgiProcess(self._loop, log, spec.domain, generation, owner)
        command = argv(self._uwsgi, spec)
        if spec.identity is not None:
            command = as_identity(spec.identity, command)
        process.start(command, environment(spec, os.environ), listener.fd)
        return process
