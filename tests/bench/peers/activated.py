"""Servers that systemd-socket-activate starts with the first connection, one for each site."""

import signal
import sys
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.bench.apps import ini
from tests.bench.peers.peer import Peer, Site
from tests.bench.rivals import UWSGI, PlainNginx
from tests.eventually import eventually

GUNICORN = Path(sys.executable).with_name("gunicorn")


class Activated(Peer):
    """systemd-socket-activate binds a socket for each site, and becomes the server with the first
    connection. A plain nginx is in front."""

    _http = False

    def __init__(self, folder: Path, sites: Sequence[Site]) -> None:
        super().__init__(folder, sites)
        self._nginx = PlainNginx(self.folder, self.folder, self._http)
        self._servers: dict[str, psutil.Process] = {}

    @property
    def port(self) -> int:
        return self._nginx.port

    def start(self) -> None:
        for site in self.sites:
            command = ("systemd-socket-activate", f"--listen={self._socket(site)}")
            self._servers[site.domain] = self._run(*command, *self._server(site))
        for site in self.sites:
            eventually(self._socket(site).exists)
            self._socket(site).chmod(0o666)  # nginx's workers may connect
        nginx = self._stack.enter_context(self._nginx)
        self._roots.append(psutil.Process(nginx.pid))

    def reload(self, domain: str) -> None:
        self._servers[domain].send_signal(signal.SIGHUP)

    @abstractmethod
    def _server(self, site: Site) -> Sequence[str | Path]:
        """The command of a site's server."""

    def _socket(self, site: Site) -> Path:
        return self.folder / f"{site.domain}.socket"


class ActivatedUwsgi(Activated):
    """uWSGI, started by systemd-socket-activate."""

    name = "systemd-socket-activate, uWSGI"

    def prepare(self) -> None:
        for site in self.sites:
            self._ini(site).write_text(ini(site.app, idle=site.idle))

    def _server(self, site: Site) -> Sequence[str | Path]:
        return UWSGI, "--ini", self._ini(site)

    def _ini(self, site: Site) -> Path:
        return self.folder / f"{site.domain}.ini"


class ActivatedGunicorn(Activated):
    """gunicorn with one synchronous worker, started by systemd-socket-activate."""

    name = "systemd-socket-activate, gunicorn"
    _http = True

    @classmethod
    def missing(cls) -> str:
        return "" if GUNICORN.exists() else "gunicorn is not installed"

    def prepare(self) -> None:
        """All is in the command."""

    def _server(self, site: Site) -> Sequence[str | Path]:
        wsgi = f"{site.app.stem}:application"
        return GUNICORN, "--no-control-socket", "--workers=1", f"--chdir={site.app.parent}", wsgi
