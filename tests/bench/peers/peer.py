"""A way of hosting apps, as the comparison sees it: it has sites, and a port for their visitors."""

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import psutil

from tests.bench.knock import http_first_byte
from tests.bench.place import running

NGINX = frozenset({"nginx"})
WEB_SERVERS = NGINX | {"apache2"}
USUAL_IDLE = 93_600


@dataclass(frozen=True, slots=True)
class Site:
    """A host name and the file of its app. The app is stopped after `idle` seconds without a
    request, where the peer can do that."""

    domain: str
    app: Path
    idle: int = USUAL_IDLE


class Peer(ABC):
    """Hosts sites below a folder of its own. A context manager. At its start no app runs, except
    where the peer cannot wait for a request."""

    name: ClassVar[str]
    is_floor: ClassVar[bool] = False
    up_after: float

    def __init__(self, folder: Path, sites: Sequence[Site]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="peer-", dir=folder))
        self.folder.chmod(0o755)
        self.sites = sites
        self._stack = ExitStack()
        self._roots: list[psutil.Process] = []

    @classmethod
    def missing(cls) -> str:
        """Why it cannot be measured on this machine, or nothing."""
        return ""

    @property
    @abstractmethod
    def port(self) -> int:
        """The port of 127.0.0.1 at which visitors ask, over HTTP."""

    @abstractmethod
    def prepare(self) -> None:
        """Write the files of the sites, which a host has before it starts."""

    @abstractmethod
    def start(self) -> None:
        """Start it, and return when a visitor could ask for each of the sites."""

    def first_byte(self, domain: str) -> float:
        """The seconds from a visitor's connect() to the first byte of the answer."""
        return http_first_byte(self.port, domain)

    def drop(self, site: Site) -> None:
        """Add a site while it runs."""
        raise NotImplementedError

    def reload(self, domain: str) -> None:
        """Replace the processes of an app, as after a change of its code."""
        raise NotImplementedError

    def restart(self) -> None:
        """Replace the processes of the peer itself, as after an upgrade of its package."""
        raise NotImplementedError

    def memory(self, without: Collection[str]) -> int:
        """The proportional set size (PSS) of all its processes except those of these names, in
        bytes."""
        total = 0
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):  # a process that a base tries modules in
                if process.name() not in without:
                    total += process.memory_full_info().pss
        return total

    def __enter__(self) -> Self:
        try:
            self.prepare()
            begun = time.perf_counter()
            self.start()
            self.up_after = time.perf_counter() - begun
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Kill all processes, the supervisors first, which would start others. To end in order
        would take uWSGI a second for each app."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._stack.close()

    def _run(self, *command: str | Path) -> psutil.Process:
        """Run a program until the end of this peer."""
        context = running(command, self.folder / "log")
        process = psutil.Process(self._stack.enter_context(context).pid)
        self._roots.append(process)
        return process

    def _processes(self) -> list[psutil.Process]:
        """All that run, each after its parent."""
        roots = [process for process in self._roots if process.is_running()]
        return [*roots, *(each for root in roots for each in root.children(recursive=True))]
