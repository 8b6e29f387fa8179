"""What the other tests of the fleet rely on: machines, networks and cables."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.fleet.detour import slow
from tests.fleet.machine import Machine, MachineError, empty_disk
from tests.fleet.network import Network, Switch
from tests.fleet.uptime import CAN_DIFFER, up_for_longer

ROOT = Path(__file__).parents[2]
PORT = 80
BOOTS_AND_WAITS = """
import pathlib, sys
from tests.fleet.detour import slow
from tests.fleet.machine import Machine
from tests.fleet.network import Network
machine = Machine("host", Network(), pathlib.Path(sys.argv[1]))
machine.power_on()
machine.start("/dev/null", "sleep", "1000")
print(machine.root.parent.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def machine() -> Iterator[Machine]:
    with (
        empty_disk() as disk,
        closing(Network()) as network,
        Machine("host", network, disk) as machine,
    ):
        yield machine


def test_a_host_refuses_and_one_without_its_cable_says_nothing() -> None:
    def knock(seconds: float) -> None:
        socket.create_connection(("192.0.2.2", PORT), seconds)

    with closing(Switch()) as switch, closing(Network()) as here, closing(Network()) as there:
        switch.connect("here", here, "192.0.2.1")
        cable = switch.connect("there", there, "192.0.2.2")
        with pytest.raises(ConnectionRefusedError):
            here.within(partial(knock, 10.0))
        cable.pull()
        with pytest.raises(TimeoutError):
            here.within(partial(knock, 0.2))
        cable.plug()
        with pytest.raises(ConnectionRefusedError):
            here.within(partial(knock, 10.0))


def test_a_slow_cable_delays_what_its_host_sends() -> None:
    """However much it is."""
    data = b"sent" * 500_000

    def answer() -> None:
        with server, server.accept()[0] as connection:
            connection.sendall(data)

    with closing(Switch()) as switch, closing(Network()) as here, closing(Network()) as there:
        switch.connect("here", here, "192.0.2.1")
        cable = switch.connect("there", there, "192.0.2.2")
        for seconds in (0.25, 0.0):
            server = there.within(lambda: socket.create_server(("192.0.2.2", PORT)))
            with (
                slow(cable, seconds) if seconds else nullcontext(),
                ThreadPoolExecutor() as threads,
            ):
                threads.submit(answer)
                began = time.monotonic()
                with here.within(lambda: socket.create_connection(("192.0.2.2", PORT))) as asked:
                    assert time.monotonic() - began >= seconds
                    assert b"".join(iter(lambda: asked.recv(65_536), b"")) == data


@pytest.mark.skipif(not CAN_DIFFER, reason="this kernel has no time namespaces")
def test_a_host_that_is_up_for_longer_has_another_clock() -> None:
    tell = [sys.executable, "-c", "import time; print(time.monotonic())"]
    with up_for_longer(86_400) as clock:
        before = time.monotonic()
        there = subprocess.run(["nsenter", *clock, *tell], stdout=subprocess.PIPE, check=True)
    assert float(there.stdout) >= before + 86_400


def test_etc_and_var_outlive_a_power_cut_and_run_does_not(machine: Machine) -> None:
    machine.power_on()
    for folder in ("etc", "var", "run"):
        (machine.root / folder / "note").write_text("kept")
    machine.power_off()
    machine.power_on()
    kept = [folder for folder in ("etc", "var", "run") if (machine.root / folder / "note").exists()]
    assert kept == ["etc", "var"]
    assert not Path("/etc/note").exists()


def test_a_machine_has_its_own_name_processes_and_network(machine: Machine) -> None:
    machine.power_on()
    machine.start("/dev/null", "sleep", "1000")
    assert machine.must("hostname") == "host\n"

    def commands() -> list[list[str]]:
        return [process.cmdline() for process in machine.processes()]

    # A child of the shell that PID 1 is has the shell's command line at first.
    eventually(lambda: commands() == [["sleep", "1000"]], what="only what was started runs")
    assert machine.must("sh", "-c", "wc -l </proc/net/dev") == "3\n", "lo, below two lines of title"
    with pytest.raises(MachineError, match=r"'false'.* exited 1 on host"):
        machine.must("false")


def test_a_machine_dies_with_the_process_that_made_it() -> None:
    with empty_disk() as disk:
        maker = subprocess.Popen(
            [sys.executable, "-c", BOOTS_AND_WAITS, str(disk)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with maker:
            assert maker.stdout is not None
            init = psutil.Process(int(maker.stdout.readline()))
            maker.send_signal(signal.SIGKILL)
        eventually(lambda: not init.is_running(), what="PID 1 of the machine is gone")
