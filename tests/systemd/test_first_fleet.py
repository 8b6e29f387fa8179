"""The tutorial of a fleet, docs/first-fleet.md: each command works as it stands there, on machines
with a real systemd and nothing but the packages, and prints what the page shows."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.eventually import TookTooLong, eventually
from tests.fleet.network import Cable, Network, Switch
from tests.systemd.box import Box
from tests.systemd.installation import ROOT
from tests.systemd.packages import BALANCER, EMPEROR, with_packages
from tests.systemd.shown import pattern

PAGE = (ROOT / "docs" / "first-fleet.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"(?ms)^```sh\n# on (?P<where>[^\n]*)\n(?P<commands>.*?)^```\n"
    r"(?:\n```text\n(?P<output>.*?)^```\n)?"
)
NAME = re.compile(r"\b(?:etcd|backend|balancer)-(\d+)\b")
# A machine that is switched off, or on again, before a step.
POWER = re.compile(r", when (?P<name>\S+) is (?P<state>on|off)$")
# What only looks may be done again, until it prints what the page says.
LOOKS = ("curl ", "emperorctl fleet status", "emperorctl status", "etcdctl member list", "ls ")
# Debian's packages are on this machine already, and these are on its disk.
APT = {
    "apt install etcd-server etcd-client": "true",
    "apt install ./emperord_*.deb": f"dpkg --install {EMPEROR}",
    "apt install ./emperord_*.deb ./emperord-balancer_*.deb":
        f"dpkg --install {EMPEROR} {BALANCER}",
}  # fmt: skip
# It takes files to a folder of the test, which brings them to the other machine.
_SPOOL = "/var/spool/scp"
_SCP = f"""\
#!/bin/sh
set -eu
for target; do :; done
folder={_SPOOL}/${{target#root@}}
folder=${{folder%%:*}}${{folder#*:}}
mkdir -p "$folder"
while [ $# -gt 1 ]; do cp "$1" "$folder"; shift; done
"""
_END = "the end of the step, with"


class Machine:
    """A machine of the page, with one shell that stays open."""

    def __init__(self, name: str, box: Box, cable: Cable) -> None:
        self.name, self.cable = name, cable
        self.root = Path(f"/proc/{box.leader}/root")
        box.must("hostname", name)
        enter = ("nsenter", f"--target={box.leader}", "-m", "-u", "-i", "-n", "-p", "-r", "-w")
        self._shell = subprocess.Popen(
            [*enter, "bash"],
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                 "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.run("cd; trap failed=yes ERR")

    def run(self, commands: str) -> tuple[str, bool]:
        """What they print, and whether all succeed. They read nothing."""
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(
            f'failed=\n{{\n{commands}\n}} </dev/null\necho "{_END} ${{failed:-no failure}}"\n'
        )
        self._shell.stdin.flush()
        printed = ""
        while _END not in printed:
            line = self._shell.stdout.readline()
            assert line, f"the shell of {self.name} has ended: {printed}"
            printed += line
        printed, _, told = printed.rpartition(_END)
        return printed, told.strip() == "no failure"

    def close(self) -> None:
        """End the shell."""
        self._shell.communicate("exit\n")


class Fleet:
    """All machines of the page."""

    def __init__(self, machines: dict[str, Machine]) -> None:
        self.machines = machines

    def do(self, step: re.Match[str]) -> None:
        """What the page says, on each machine that it names. Fails unless it shows the output."""
        where = step["where"]
        if power := POWER.search(where):
            cable = self.machines[power["name"]].cable
            (cable.plug if power["state"] == "on" else cable.pull)()
            where = where[: power.start()]
        names = [found[0] for found in NAME.finditer(where)]
        assert names, where
        commands = "\n".join(APT.get(line, line) for line in step["commands"].splitlines())
        for name in names:
            self._do_on(self.machines[name], commands, step["output"])

    def _do_on(self, machine: Machine, commands: str, output: str | None) -> None:
        shown = pattern(output or "…")
        told = ""

        def is_right() -> bool:
            nonlocal told
            printed, succeeded = machine.run(commands)
            told = f"{machine.name} printed:\n{printed}"
            return bool(re.fullmatch(shown, " ".join(printed.split())) and (succeeded or output))

        if all(line.startswith(LOOKS) for line in commands.splitlines()):
            with suppress(TookTooLong):
                eventually(is_right)
                return
            raise AssertionError(f"{commands}{told}")
        assert is_right(), f"{commands}{told}"
        self._deliver(machine)

    def _deliver(self, sender: Machine) -> None:
        spool = sender.root / _SPOOL.lstrip("/")
        if not spool.exists():
            return
        for machine in self.machines.values():
            address = f"192.0.2.{machine.name.rpartition('-')[2]}"
            if (files := spool / address).exists():
                for file in filter(Path.is_file, files.rglob("*")):
                    place = machine.root / file.relative_to(files)
                    assert place.parent.is_dir(), place
                    shutil.copy(file, place)
        shutil.rmtree(spool)


@contextmanager
def built(packages: Path) -> Iterator[Fleet]:
    """The machines that the page names, connected and with nothing installed."""
    names = sorted({found[0] for found in NAME.finditer(PAGE)})
    with ExitStack() as stack:
        switch = stack.enter_context(closing(Switch()))
        machines = {}
        for name in names:
            box = stack.enter_context(with_packages(packages, {"/usr/local/bin/scp": _SCP}))
            box.must("chmod", "755", "/usr/local/bin/scp")
            network = stack.enter_context(closing(Network(box.leader)))
            cable = switch.connect(name, network, f"192.0.2.{name.rpartition('-')[2]}")
            machines[name] = Machine(name, box, cable)
            stack.callback(machines[name].close)
        yield Fleet(machines)


@pytest.fixture
def fleet(packages: Path) -> Iterator[Fleet]:
    with built(packages) as fleet:
        yield fleet


def test_the_tutorial_works_word_for_word(fleet: Fleet) -> None:
    steps = list(STEP.finditer(PAGE))
    assert len(steps) == PAGE.count("```sh\n") > 25
    for step in steps:
        fleet.do(step)
