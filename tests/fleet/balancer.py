"""A balancer: nginx and the shipped Lua files, unedited but for the list of backends."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from docs.examples.http2 import adapt, nginx_version
from tests.balancer.fleet import PROBE_CUT_OFF
from tests.eventually import eventually
from tests.fleet.logs import Log
from tests.fleet.machine import Machine

ROOT = Path(__file__).parents[2]
LIST = "/etc/nginx/lua/init_backends.lua"


@dataclass(frozen=True, slots=True)
class Route:
    """The address of the backend that a host belongs to, and of those that stand in for it."""

    backend: str
    substitutes: tuple[str, ...]


class Balancer:
    """Its nginx on a machine, with the kernel's settings that the configuration recommends."""

    def __init__(self, machine: Machine, address: str) -> None:
        self.machine = machine
        self.address = address
        self.command = ["nginx"]
        self.log = Log(machine.logs / "nginx/error.log", [r" \[notice\] ", PROBE_CUT_OFF])

    def __repr__(self) -> str:
        return self.machine.name

    def install(self, backends: Sequence[str]) -> None:
        """Make a machine that is on a balancer for the backends at these addresses."""
        nginx = self.machine.root / "etc/nginx"
        shutil.copy(ROOT / "nginx/loadbalancer.conf", nginx / "nginx.conf")
        adapt(nginx / "nginx.conf", nginx_version())
        shutil.copytree(ROOT / "lua", nginx / "lua")
        self.machine.must("install", "-d", "-g", "www-data", "-m", "750", "/etc/nginx/certs")
        recommended = re.findall(r"(?m)^#\s+(net\.\S+ = \d+)$", (nginx / "nginx.conf").read_text())
        assert recommended
        for setting in recommended:
            self.machine.must("sysctl", "--write", setting.replace(" ", ""))
        self.configure(backends)

    def configure(self, backends: Sequence[str]) -> None:
        """Write the list of backends, which takes effect with a reload."""
        (self.machine.root / LIST.lstrip("/")).write_text(listing(backends))

    @property
    def logs(self) -> list[Log]:
        """What is judged in the end."""
        return [self.log]

    def start(self) -> None:
        """Returns when it listens."""
        self.machine.must(*self.command)

    def stop(self) -> None:
        """Tell it to stop in order; `check_stopped` waits until it has."""
        self.machine.must("nginx", "-s", "quit")

    def check_stopped(self) -> None:
        """Fails if it leaves a process behind."""
        eventually(lambda: not self.machine.processes(), what=f"{self} has no process left")

    def reload(self) -> None:
        """Take the list up, and wait until no worker is left that has the old one."""
        ended = r"worker process \d+ exited with code 0"
        before, workers = len(self.log.lines(ended)), len(self.machine.processes()) - 1
        self.machine.must("nginx", "-s", "reload")
        eventually(lambda: len(self.log.lines(ended)) == before + workers, what="old workers end")

    def routes(self, hosts: Sequence[str]) -> dict[str, Route]:
        """Where each host belongs by its list, as `emperorctl route` says."""
        answer = self.machine.must("emperorctl", "route", f"--backends={LIST}", "--json", *hosts)
        return {
            route["host"]: Route(route["backend"], tuple(route["substitutes"]))
            for route in json.loads(answer)["routes"]
        }

    def finds(self, backend: str, state: str) -> bool:
        """Whether that is what it last said of the backend at an address: well, unwell or
        unreachable."""
        said = self.log.lines(rf"backend {re.escape(backend)} is ")
        return f" is {state}" in said[-1] if said else state == "well"


def listing(backends: Sequence[str]) -> str:
    """The shipped init_backends.lua, with these addresses."""
    entries = ", ".join(f'"{address}"' for address in backends)
    shipped = (ROOT / "lua/init_backends.lua").read_text()
    text, times = re.subn(
        r"(?m)^web_server_ips = .*$", f"web_server_ips = {{ {entries} }}", shipped
    )
    assert times == 1
    return text
