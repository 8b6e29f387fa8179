"""nginx with the shipped configuration, a stub of emperord, and a real uWSGI app."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from emperor.model.spec import Spec
from emperor.uwsgi.command import LISTENER_FD, argv
from emperor.uwsgi.copies import Copy
from emperor.uwsgi.options import UwsgiOptions
from tests.eventually import eventually
from tests.nginx.stub_daemon import Asked, StubDaemon, serving
from tests.nginx_server import Nginx
from tests.traces import public_folder

UWSGI = Path(sys.executable).with_name("uwsgi")


class App:
    """The echo app at a domain's socket, whose mode is the door. uWSGI runs it with the command of
    emperord, so that it gets what every app gets. `options` are lines of its ini."""

    def __init__(self, folder: Path, domain: str, options: str = "") -> None:
        self.socket = folder / "sockets" / domain / "socket"
        self._domain = domain
        self._folder = folder
        self._options = options
        self._runs = folder / f"{domain}.runs"
        self._log = folder / f"{domain}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with the door closed, and return when it accepts."""
        self.socket.parent.mkdir(exist_ok=True)
        ini = self._folder / f"{self._domain}.ini"
        ini.write_text(
            f"[uwsgi]\nwsgi-file = {Path(__file__).with_name('echo.py')}\n"
            f"env = ECHO_RUNS={self._runs}\nprocesses = 2\n{self._options}\n"
        )
        spec = Spec(self._domain, str(ini), str(self.socket), UwsgiOptions(need_app=True))
        with socket.socket(socket.AF_UNIX) as listener, self._log.open("wb") as log:
            os.fchmod(listener.fileno(), 0)
            listener.bind(str(self.socket))
            shutil.chown(self.socket, group="www-data")
            listener.listen(128)
            command = [
                word.replace(f"fd://{LISTENER_FD}", f"fd://{listener.fileno()}")
                for word in argv(str(UWSGI), spec, Copy(spec.ini))
            ]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        eventually(
            lambda: "spawned uWSGI worker 2" in self._log.read_text(),
            alive=[self._process],
            what="uWSGI accepts",
        )

    def stop(self) -> None:
        """Kill it with its workers; its socket stays behind."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def open_door(self) -> None:
        """Let nginx connect."""
        self.socket.chmod(0o660)

    @property
    def runs(self) -> list[str]:
        """`METHOD PATH` of each run, the unfinished ones too."""
        return self._runs.read_text().splitlines() if self._runs.exists() else []


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture
def nginx(folder: Path) -> Iterator[Nginx]:
    with Nginx(folder) as nginx:
        yield nginx


@pytest.fixture
async def daemon(folder: Path, nginx: Nginx) -> AsyncIterator[StubDaemon]:
    async with serving(folder) as daemon:
        yield daemon


@pytest.fixture
def unknown(daemon: StubDaemon) -> StubDaemon:
    """A daemon that knows no app and answers with the domain it was asked for."""

    async def answer(asked: Asked) -> web.Response:
        return web.Response(status=404, text=asked.domain)

    daemon.answer = answer
    return daemon


@pytest.fixture
def app(folder: Path, nginx: Nginx) -> Iterator[App]:
    """The app of app.example: it accepts, and its door is closed."""
    app = App(folder, "app.example")
    try:
        app.start()
        yield app
    finally:
        app.stop()
