"""The floors, below which no way of starting an app by exec can be."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.bench.knock import http_first_byte
from tests.bench.peers.peer import Peer, Site
from tests.bench.rivals import Bare, PlainNginx


class BareExec(Peer):
    """uWSGI with emperord's command line, started as soon as a visitor asks, by nobody. A plain
    nginx is in front."""

    name = "bare exec of uWSGI"
    is_floor = True

    def __init__(self, folder: Path, sites: Sequence[Site]) -> None:
        super().__init__(folder, sites)
        self._nginx = PlainNginx(self.folder, self.folder)
        self._apps: dict[str, Bare] = {}

    @property
    def port(self) -> int:
        return self._nginx.port

    def prepare(self) -> None:
        for site in self.sites:
            text = f"[uwsgi]\nfile = {site.app}\nvirtualenv = {sys.prefix}\n"
            self._ini(site.domain).write_text(text)

    def start(self) -> None:
        for site in self.sites:
            path = self._ini(site.domain)
            bare = Bare(path, path.with_suffix(".socket"))
            self._apps[site.domain] = self._stack.enter_context(bare)
        nginx = self._stack.enter_context(self._nginx)
        self._roots.append(psutil.Process(nginx.pid))

    def first_byte(self, domain: str) -> float:
        bare = self._apps[domain]
        took = http_first_byte(self.port, domain, bare.start)
        self._roots.append(psutil.Process(bare.pid))
        return took

    def _ini(self, domain: str) -> Path:
        return self.folder / f"{domain}.ini"


class BareImport(Peer):
    """Runs `python -c "import application"`, without a server."""

    name = 'python -c "import app"'
    is_floor = True

    @property
    def port(self) -> int:
        raise NotImplementedError

    def prepare(self) -> None:
        """There is nothing to write."""

    def start(self) -> None:
        """There is nothing to start."""

    def first_byte(self, domain: str) -> float:
        """The seconds until the interpreter has imported the app and ended."""
        [app] = {site.app for site in self.sites if site.domain == domain}
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {app.stem}"], cwd=app.parent, check=True)
        return time.perf_counter() - begun
