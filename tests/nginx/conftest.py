"""nginx with the shipped configuration, a stub of emperord, and a real uWSGI app."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.eventually import eventually
from tests.nginx.stub_daemon import Asked, StubDaemon, serving
from tests.nginx_server import Nginx
from tests.traces import public_folder


class App:
    """uWSGI with the echo app at a domain's socket, whose mode is the door."""

    def __init__(self, folder: Path, domain: str) -> None:
        self.socket = folder / "sockets" / domain / "socket"
        self._runs = folder / f"{domain}.runs"
        self._log = folder / f"{domain}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with the door closed, and return when it listens."""
        self.socket.parent.mkdir(exist_ok=True)
        command: list[str | Path] = [
            Path(sys.executable).with_name("uwsgi"), "--socket", self.socket, "--listen", "128",
            "--chown-socket=:www-data",
            "--wsgi-file", Path(__file__).with_name("echo.py"), "--need-app",
            "--env", f"ECHO_RUNS={self._runs}", "--master", "--processes", "2",
            "--buffer-size", "32768",
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
        eventually(self._accepts, alive=[self._process], what="uWSGI accepts")
        self.socket.chmod(0)

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

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0


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
