"""The two emperors: emperord, and uWSGI's own Emperor with vassals on demand."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psutil

from docs.examples.backend import render
from tests.backend import with_state
from tests.bench.apps import ini
from tests.bench.ours import Ours
from tests.bench.peers.peer import Peer, Site
from tests.bench.place import serving
from tests.bench.rivals import Incumbent, PlainNginx
from tests.eventually import eventually
from tests.fdstore import FdStore

_END_SECONDS = 30.0
_USER = "nobody"
# Enough for a base, and for what it learns of the pages that apps write to.
_RAN_EARLIER = 4


class Emperord(Peer):
    """emperord as it is installed, and the nginx configuration that it ships. The apps have a user
    of their own, and are forked from a base of the standard library: none has run yet."""

    name = "emperord"
    flags: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path, sites: Sequence[Site]) -> None:
        super().__init__(folder, sites)
        self._ours = Ours(self.folder, **self.flags)
        self._ours.under = with_state(self.folder)

    @property
    def port(self) -> int:
        return self._ours.port

    def prepare(self) -> None:
        for site in self.sites:
            self.drop(site)

    def start(self) -> None:
        self._store = self._stack.enter_context(FdStore(self.folder / "notify"))
        with self._ours.log.open("ab") as log:
            self._process = self._store.start(self._ours.command, log)
        self._stack.callback(self._end)
        self._roots.append(psutil.Process(self._process.pid))
        self._until_ready(1)
        self._ours.until_base_is_ready()
        conf = render(self._ours.folder, self._ours.port, self._ours.tls_port)
        self._roots.append(psutil.Process(self._stack.enter_context(serving(conf)).pid))

    def drop(self, site: Site) -> None:
        text = self._ours.ini(site.domain, str(site.app), idle=str(site.idle))
        self._ours.drop(site.domain, f"{text}[emperor]\nuid = {_USER}\n")

    def reload(self, domain: str) -> None:
        os.utime(self._ours.vassals / f"{domain}.ini")

    def restart(self) -> None:
        self._process.send_signal(signal.SIGHUP)
        self._until_ready(2)

    def _until_ready(self, times: int) -> None:
        def is_ready() -> bool:
            return self._store.told.count("READY=1") >= times

        eventually(is_ready, alive=[self._process], what=f"emperord is ready ({self._ours.log})")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class EmperordByExec(Emperord):
    """emperord without bases."""

    name = "emperord, by exec"
    flags: ClassVar[Mapping[str, str]] = {"bases": "off"}


class EmperordAtHome(Emperord):
    """emperord with a base of the virtual environment, as there is one where some of the apps have
    run before. These sleep again."""

    name = "emperord, base of the virtualenv"

    def start(self) -> None:
        super().start()
        earlier = [site.domain for site in self.sites[:_RAN_EARLIER]]
        for domain in earlier:
            self.first_byte(domain)
        self._ours.until_base_of(_USER)
        for domain in earlier:
            self._ours.call("POST", f"/v1/vassals/{domain}/sleep")
        what = "they sleep again"
        eventually(lambda: {self._ours.state(each) for each in earlier} == {"parked"}, what=what)


class Emperor(Peer):
    """uWSGI's Emperor with `emperor-on-demand-directory`, behind a plain nginx."""

    name = "uWSGI's Emperor"

    def __init__(self, folder: Path, sites: Sequence[Site]) -> None:
        super().__init__(folder, sites)
        self._incumbent = Incumbent(self.folder)
        self._nginx = PlainNginx(self.folder, self._incumbent.sockets)

    @property
    def port(self) -> int:
        return self._nginx.port

    def prepare(self) -> None:
        for site in self.sites:
            self.drop(site)

    def start(self) -> None:
        self._launch()
        nginx = self._stack.enter_context(self._nginx)
        self._roots.append(psutil.Process(nginx.pid))

    def drop(self, site: Site) -> None:
        self._incumbent.drop(site.domain, ini(site.app, idle=site.idle))

    def reload(self, domain: str) -> None:
        os.utime(self._incumbent.vassals / f"{domain}.ini")

    def restart(self) -> None:
        self._emperor.terminate()
        self._emperor.wait(_END_SECONDS)
        self._launch()

    def _launch(self) -> None:
        for left in self._incumbent.sockets.iterdir():
            left.unlink()
        self._emperor = self._run(*self._incumbent.command)
        for site in self.sites:
            eventually(self._incumbent.listener(site.domain).exists)
