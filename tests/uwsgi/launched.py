"""One ini with its listener, and the launchers of daemons that come one after the other."""

import asyncio
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emperor.bases.bases import Bases
from emperor.linux.groups import ControlGroups
from emperor.linux.hierarchies import Hierarchies
from emperor.linux.listeners import UnixListener, UnixListeners
from emperor.linux.processes import Spawner
from emperor.model.limits import Limits
from emperor.model.machine import Machine
from emperor.model.ports import Exit, Message
from emperor.model.settings import read_settings
from emperor.model.snapshot import ProcessRef
from emperor.model.spec import Spec
from emperor.uwsgi.boot_files import BootFiles
from emperor.uwsgi.bounds import Bounds
from emperor.uwsgi.defaults import DefaultsFile
from emperor.uwsgi.launcher import UwsgiLauncher
from emperor.uwsgi.options import UwsgiOptions
from emperor.uwsgi.process import UwsgiProcess
from emperor.uwsgi.start import Starter

APPS = Path(__file__).parents[1] / "apps"
UWSGI = Path(sys.executable).with_name("uwsgi")


@dataclass
class Events:
    """Collects the events that a governor would get."""

    messages: list[Message] = field(default_factory=list)
    exits: list[str] = field(default_factory=list)

    def on_message(self, _domain: str, _generation: int, messages: Message) -> None:
        self.messages.append(messages)

    def on_exit(self, _domain: str, _generation: int, ended: Exit) -> None:
        self.exits.append(str(ended))


class House:
    """One ini with its listener, for one launcher after the other."""

    def __init__(self, folder: Path) -> None:
        flags = {
            "vassals-dir": f"{folder}/v",
            "log-dir": f"{folder}/l",
            "sockets-dir": f"{folder}/s",
            "run-dir": f"{folder}/r",
        }
        for path in flags.values():
            Path(path).mkdir()
        self.settings = read_settings("", "the test", flags)
        self.spec = Spec(
            "a.example", "a.example.ini", f"{folder}/s/a.example/socket", UwsgiOptions()
        )
        ini = f"[uwsgi]\nsocket = {self.spec.socket}\nfile = {APPS}/plain.py\n"
        self.text = ini.encode()
        self.hierarchies = Hierarchies(())
        self.machine = Machine(2**34, 10_000, 1000)
        self.open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.events = Events()
        self.listener: UnixListener = UnixListeners(
            self.settings, asyncio.get_running_loop()
        ).listen(self.spec)

    def launcher(self) -> UwsgiLauncher:
        loop = asyncio.get_running_loop()
        groups = ControlGroups(self.hierarchies, Limits(), loop)
        bounds = Bounds(groups, self.settings.limits(), self.machine, self.open_files)
        spawner = Spawner(loop)
        starter = Starter(spawner, Bases("the test has none", {}, spawner), BootFiles(None))
        return UwsgiLauncher(UWSGI, self.settings, starter, bounds, DefaultsFile(None))

    def prepare(self, events: Events) -> UwsgiProcess:
        return self.launcher().prepare(self.spec, self.listener, 1, events, self.text)

    def adopt(self, ref: ProcessRef, fds: Sequence[int], events: Events) -> UwsgiProcess | None:
        return self.launcher().adopt(self.spec, ref, fds, 1, events)


def abandoned(process: UwsgiProcess) -> list[int]:
    """Its descriptors as a crash of the daemon leaves them: in the bag alone."""
    kept = [os.dup(fd) for fd in process.fds]
    loop = asyncio.get_running_loop()
    for fd in process.fds:
        loop.remove_reader(fd)
    process._pipe._near.close()
    process._pipe.close_far()
    if process._process:
        assert process._process.pidfd is not None
        os.close(process._process.pidfd)
    return kept
