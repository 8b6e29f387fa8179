"""`make run-fleet`: a fleet with a registry to look at. Three members of etcd, two load balancers
and three backends, each with a network of its own, and visitors who come without end.

It is the fleet of tests/fleet, so it runs the shipped files at their real paths. Nothing is changed
on this machine: its networks, processes, /etc, /var and /run are not seen from there.
"""

import asyncio
import itertools
import os
import select
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tests import host
from tests.backend import BIN
from tests.etcd_cluster import Member
from tests.fleet.backend import Backend
from tests.fleet.balancer import Balancer
from tests.fleet.client import Question
from tests.fleet.fleet import DOMAINS
from tests.fleet.registry_fleet import RegistryFleet, ini, standing_with_a_registry

VISITS_A_SECOND = 20
REFRESH_SECONDS = 0.5
# With the lines below it, this fits a terminal of 80 columns and 24 lines.
TEXT = """\
A fleet runs: etcd-1 to -3 keep the inis, balancer-1 and -2 follow them, and
backend-11 to -14 fetch what they are asked for. {visits} visits a second come.
In another terminal, as root, first:  cd {folder}
  ./on operator emperorctl fleet status
  ./on operator emperorctl registry list
  ./on visitor curl -sH 'Host: site-00.example' http://192.0.2.1/
Kill any of them, or several, and see below who notices; then start it again:
  ./kill etcd-1                     ./start etcd-1
  ./kill balancer-1                 ./start balancer-1
  ./kill backend-11                 ./start backend-11
Put a domain. The backend that is asked for it fetches it:
  ./on operator emperorctl registry put new.example new.ini --owner nobody
  ./on visitor curl -sH 'Host: new.example' http://192.0.2.2/
backend-14 has no slots yet. Give it its share, and take it out again:
  ./on operator emperorctl fleet add 192.0.2.14 --yes
  ./on operator emperorctl fleet remove 192.0.2.14 --yes
Ctrl-C stops everything and removes its files.
"""
_ON = """\
#!/bin/sh
# Runs a command on a host of the fleet.
name=${{1:?}}
shift
# Without this, nsenter would have nothing to enter, and run the command on this machine.
[ -e "{folder}/hosts/$name" ] || {{ echo "there is no host $name" >&2; exit 2; }}
[ "$name" != operator ] || set -- env EMPERORD_REGISTRY="{folder}/operator.ini" "$@"
exec nsenter $(cat "{folder}/hosts/$name") --wdns="{folder}" env PATH="{path}" "$@"
"""
_ORDER = """\
#!/bin/sh
# Has the fleet {order} a host.
is_host() {{ [ -e "{folder}/hosts/$1" ] && [ "$1" != visitor ] && [ "$1" != operator ]; }}
is_host "$1" || {{ echo "there is no host $1" >&2; exit 2; }}
echo "{order} $1" >"{folder}/orders"
"""


def main() -> None:
    """Run the fleet until an interrupt."""
    if os.geteuid() != 0:
        sys.exit("cannot start: network namespaces need root; run `sudo make run-fleet`")
    # SIGINT too: a shell starts a command with `&` with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    host.leave()
    print("Preparing etcd, two balancers and four backends ...", flush=True)
    with (
        suppress(KeyboardInterrupt),
        standing_with_a_registry(is_limited=True) as fleet,
        _folder() as folder,
    ):
        show = Show(fleet, folder)
        with show.visitors():
            show.run()
    print("\nStopped.", flush=True)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="emperord-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "hosts").mkdir()
        os.mkfifo(folder / "orders")
        (folder / "new.ini").write_text(ini("new.example"))
        scripts = {"on": _ON, "kill": _ORDER, "start": _ORDER}
        path = f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"
        for script, text in scripts.items():
            (folder / script).write_text(text.format(folder=folder, order=script, path=path))
            (folder / script).chmod(0o755)
        yield folder


class Show:
    """The fleet, and a folder with the commands to act on it."""

    def __init__(self, fleet: RegistryFleet, folder: Path) -> None:
        self._fleet = fleet
        self._folder = folder
        self._answered = self._failed = 0
        self._last = "none"
        self._hosts: dict[str, Member | Backend | Balancer] = {}
        self._hosts |= {f"etcd-{n}": each for n, each in enumerate(fleet.etcd.members, 1)}
        self._hosts |= {str(each): each for each in fleet.balancers}
        self._hosts |= {str(each): each for each in fleet.backends}
        self._down: set[str] = set()
        for name in self._hosts:
            self._note(name)
        for name in ("visitor", "operator"):
            self._write(name, f"--net={fleet.client.network.path}")
        fleet.etcd.access_file(folder / "operator.ini")

    def _note(self, name: str) -> None:
        """How to get into a host, for nsenter(1)."""
        machine = self._hosts[name]
        if isinstance(machine, Member):
            assert machine.process
            self._write(name, f"--target={machine.process.pid} --net")
        else:
            pid = machine.machine.root.parent.name
            self._write(name, f"--target={pid} --mount --pid --net --uts")

    def _write(self, name: str, how: str) -> None:
        (self._folder / "hosts" / name).write_text(how)

    @contextmanager
    def visitors(self) -> Iterator[None]:
        """Visitors come until the block is left."""
        coming = self._fleet.client.submit(self._come())
        try:
            yield
        finally:
            coming.cancel()

    async def _come(self) -> None:
        doors = [balancer.address for balancer in self._fleet.balancers]
        async with asyncio.TaskGroup() as visits:
            for number in itertools.count():
                order = doors if number % 2 else doors[::-1]
                question = Question(DOMAINS[number % len(DOMAINS)], order[0])
                visits.create_task(self._visit(question, order[1]))
                await asyncio.sleep(1 / VISITS_A_SECOND)

    async def _visit(self, question: Question, other_door: str) -> None:
        """Visit as a browser does, which tries the next address of a name if there is no answer."""
        visit = await self._fleet.client.visit(question)
        if visit.status is None:
            visit = await self._fleet.client.visit(replace(question, door=other_door))
        if visit.failed:
            self._failed += 1
            self._last = f"{question.domain}: {visit.status or visit.text}"
        else:
            self._answered += 1

    def run(self) -> None:
        """Show what happens, and do what is asked for, until an interrupt."""
        console = Console()
        text = TEXT.format(folder=self._folder, visits=VISITS_A_SECOND)
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        orders = os.open(self._folder / "orders", os.O_RDWR)
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(self._lines(), refresh=True)
                if select.select([orders], [], [], REFRESH_SECONDS)[0]:
                    for line in os.read(orders, 4096).decode().splitlines():
                        order, name = line.split()
                        live.update(self._lines(f"{order} {name} ..."), refresh=True)
                        self._obey(order, name)
                        if not console.is_terminal:
                            console.print(self._lines(), soft_wrap=True)

    def _obey(self, order: str, name: str) -> None:
        if (order == "kill") == (name in self._down):
            return
        machine = self._hosts[name]
        act: Callable[[], None]
        if order == "kill":
            act = machine.kill if isinstance(machine, Member) else machine.machine.power_off
            self._down.add(name)
            act()
        else:
            if not isinstance(machine, Member):
                machine.machine.power_on()
            machine.start()
            self._down.discard(name)
            self._note(name)

    def _lines(self, order: str = "") -> Text:
        """What is below the text."""
        lines = Text(f"visits answered: {self._answered}, failed: ")
        lines.append(str(self._failed), style="bold red" if self._failed else "bold green")
        lines.append(f", the last one: {self._last}\n")
        before = ""
        for name in self._hosts:
            kind, _, number = name.partition("-")
            if kind != before:
                lines.append(f"{kind} ")
                before = kind
            lines.append(f"{number} ", style="bold red" if name in self._down else "green")
        down = " ".join(sorted(self._down)) or "none"
        return lines.append(f"\ndown: {down}  {order}")


if __name__ == "__main__":
    main()
