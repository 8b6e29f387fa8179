"""A backend: nginx, emperord and apps, from the shipped files, unedited but for the balancers'
addresses."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil

from tests.backend import APPS
from tests.controllers import expected_at_a_start
from tests.eventually import eventually
from tests.fleet.client import GATE, Visit
from tests.fleet.logs import Log
from tests.fleet.machine import Machine
from tests.fleet.network import Cable

ROOT = Path(__file__).parents[2]
NGINX = ROOT / "nginx"
SYSTEMD = ROOT / "systemd"

# Where the apps note what they run.
RUNS = "/var/log/runs"

_KNOCK = r"connect\(\) to unix:\S+/socket failed \((13: Permission denied|2: No such file)"


class Backend:
    """Its services on a machine; all settings are as they are by default."""

    def __init__(self, machine: Machine, cable: Cable, address: str) -> None:
        self.machine = machine
        self.cable = cable
        self.address = address
        self.command = ["emperord"]
        # In its run-dir, after a stop.
        self.kept = {"emperord.lock", "good-inis"}
        self.log = Log(machine.logs / "emperord.log", [" INFO ", *expected_at_a_start()])
        self.nginx_log = Log(machine.logs / "nginx/error.log", [_KNOCK])
        self.access_log = Log(machine.logs / "nginx/access.log")
        self._runs = machine.logs / Path(RUNS).name
        self._runs.touch()
        self._gate = machine.logs / Path(GATE).name
        os.mkfifo(self._gate)

    def __repr__(self) -> str:
        return self.machine.name

    def install(self, balancers: Sequence[str], domains: Sequence[str]) -> None:
        """Make a machine that is on a backend that believes these addresses and has these apps."""
        etc = self.machine.root / "etc"
        shutil.copy(NGINX / "backend.conf", etc / "nginx/nginx.conf")
        shutil.copytree(NGINX / "emperord", etc / "nginx/emperord")
        believed = etc / "nginx/emperord/balancers.conf"
        believed.write_text(_believing(balancers, believed.read_text()))
        self.machine.must("systemd-sysusers", f"{SYSTEMD}/emperord.sysusers")
        vassals = etc / "uwsgi/vassals"
        vassals.mkdir(parents=True)
        for domain in domains:
            (vassals / f"{domain}.ini").write_text(_ini(domain))

    @property
    def logs(self) -> list[Log]:
        """What is judged in the end."""
        return [self.log, self.nginx_log]

    def start(self) -> None:
        """What systemd does after a boot. Returns when all services serve."""
        self.machine.must("systemd-tmpfiles", "--create", f"{SYSTEMD}/emperord.tmpfiles")
        self.start_emperord()
        self.machine.must("nginx")

    def start_emperord(self) -> None:
        """Start the daemon alone; returns when it serves."""
        starts = len(self._starts())
        self.machine.start("/var/log/emperord.log", *self.command)
        eventually(lambda: len(self._starts()) > starts, what=f"emperord serves on {self}")

    def restart_emperord(self) -> None:
        """Stop the daemon in order, and start it."""
        pid = self._pid()
        self.signal_emperord("TERM")
        # It holds its lock until it has ended.
        gone = partial(self.machine.run, "kill", "-0", pid)
        eventually(lambda: gone().returncode != 0, what=f"emperord has ended on {self}")
        assert self.log.lines(" stopped$")
        self.start_emperord()

    def is_registered(self) -> bool:
        """Whether the registry has it under a lease of this daemon's."""
        status = json.loads(self.machine.must("emperorctl", "status", "--json"))
        return bool(status["emperor"]["membership"]["is_registered"])

    def stop(self) -> None:
        """Tell all services to stop in order; `check_stopped` waits until they have."""
        self.machine.must("nginx", "-s", "quit")
        self.signal_emperord("TERM")

    def check_stopped(self) -> None:
        """Fails if they leave anything behind."""
        eventually(lambda: not self.machine.processes(), what=f"{self} has no process left")
        left = sorted(path.name for path in (self.machine.root / "var/sockets").iterdir())
        assert left == [], "sockets were left behind"
        run_dir = self.machine.root / "run/emperord"
        kept = {path.name for path in run_dir.iterdir()}
        assert kept == self.kept

    def signal_emperord(self, name: str) -> None:
        """Send a signal to the daemon alone."""
        self.machine.must("kill", f"-{name}", self._pid())

    def _pid(self) -> str:
        """The pid of the daemon on its machine."""
        return (self.machine.root / "run/emperord/emperord.lock").read_text().strip()

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Take the power from the backend until the block is left."""
        self.machine.power_off()
        try:
            yield
        finally:
            self.machine.power_on()
            self.start()

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Pull the cable of the backend until the block is left."""
        self.cable.pull()
        try:
            yield
        finally:
            self.cable.plug()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let no process of the backend run until the block is left."""
        self.machine.freeze()
        try:
            yield
        finally:
            self.machine.thaw()

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """Let emperord not run until the block is left."""
        self.signal_emperord("STOP")
        try:
            yield
        finally:
            self.signal_emperord("CONT")

    @contextmanager
    def headless(self) -> Iterator[None]:
        """Kill emperord, and start it at the end of the block. Its apps are killed too, which is
        what systemd does when a service's main process dies."""
        try:
            for process in self.machine.processes():
                with suppress(psutil.NoSuchProcess):
                    if process.name() in ("emperord", "uwsgi"):
                        process.kill()
            yield
        finally:
            self.start_emperord()

    @contextmanager
    def draining(self) -> Iterator[None]:
        """Drained until the block is left."""
        self.machine.must("emperorctl", "drain")
        try:
            yield
        finally:
            self.machine.must("emperorctl", "undrain")

    def let_go(self, visits: Sequence[Future[Visit]]) -> list[Visit]:
        """Let its apps go on with what they hold, and wait until those visits are over."""

        def are_over() -> bool:
            self._open_gate()
            return all(visit.done() for visit in visits)

        eventually(are_over, what="what was held is answered")
        return [visit.result() for visit in visits]

    def _open_gate(self) -> None:
        with suppress(OSError):  # no visit waits at the moment
            os.close(os.open(self._gate, os.O_WRONLY | os.O_NONBLOCK))

    def plan(self, old: str, new: str) -> dict[str, tuple[str, str]]:
        """Which of its domains move between which addresses, as `emperorctl plan` says of two
        lists."""
        files = []
        for name, text in (("old.lua", old), ("new.lua", new)):
            (self.machine.root / "run" / name).write_text(text)
            files.append(f"/run/{name}")
        answer = self.machine.must("emperorctl", "plan", "--json", "--backends", *files)
        return {m["domain"]: (m["before"], m["after"]) for m in json.loads(answer)["moves"]}

    def runs(self) -> list[str]:
        """The ids of all visits that its apps have begun to work on, ever."""
        return [line.split()[1] for line in self._runs.read_text().splitlines()]

    def _starts(self) -> list[str]:
        return self.log.lines(r"serving \d+ vassals")


def _believing(balancers: Sequence[str], shipped: str) -> str:
    """The shipped balancers.conf, with these addresses in place of its first example."""
    text, lists = re.subn(
        r"(?m)^( *)#(.*)192\.0\.2\.1\b(.*)$",
        lambda line: "\n".join(f"{line[1]}{line[2]}{address}{line[3]}" for address in balancers),
        shipped,
    )
    assert lists == 2, "balancers.conf no longer has both lists"
    return text


def _ini(domain: str) -> str:
    """The talk's three lines, for an app that notes what it runs."""
    return (
        "[uwsgi]\n"
        f"socket = /var/sockets/{domain}/socket\n"
        f"file = {APPS / 'plain.py'}\n"
        "idle = 93600\n"
        f"env = RUNS={RUNS}\n"
        "[emperor]\n"
        "allow-root = true\n"
    )
