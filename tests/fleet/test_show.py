"""`make run-fleet`, as it is: what it says to paste, hosts that are killed and started again, and
nothing left after Ctrl-C."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.eventually import PATIENCE_SECONDS, eventually

ROOT = Path(__file__).parents[2]


class Show:
    """It runs; `printed` is its text."""

    def __init__(self, process: "subprocess.Popen[bytes]", out: Path) -> None:
        self.process = process
        self._out = out
        self.printed = out.read_text()
        [self.folder] = re.findall(r"first:  cd (\S+)", self.printed)

    def paste(self, command: str) -> str:
        """Run a printed command, and return its output."""
        assert command in self.printed
        return subprocess.run(
            command, shell=True, cwd=self.folder, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def order(self, command: str) -> str:
        """Have a host killed or started, and return which hosts are down after that."""
        before = len(self._orders())
        self.paste(command)
        eventually(lambda: len(self._orders()) > before, alive=[self.process], what=command)
        return self._orders()[-1]

    def _orders(self) -> list[str]:
        return re.findall(r"^down: (.*?) *$", self._out.read_text(), re.MULTILINE)

    def failed(self) -> set[str]:
        """How many visits it has said to have failed."""
        return set(re.findall(r"failed: (\d+)", self._out.read_text()))


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    """Ready, until the last test interrupts it."""
    out = tmp_path_factory.mktemp("show") / "out"
    with out.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fleet.show"],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        patience = 3 * PATIENCE_SECONDS
        eventually(lambda: "Ctrl-C" in out.read_text(), alive=[process], seconds=patience)
        yield Show(process, out)
    finally:
        process.terminate()
        process.wait()


def test_its_text_fits_a_terminal(show: Show) -> None:
    text = show.printed[show.printed.index("A fleet runs") : show.printed.index("its files.")]
    assert len(text.splitlines()) + 4 <= 24
    assert max(map(len, text.splitlines())) <= 80


def test_apps_that_are_awake_are_seen_soon(show: Show) -> None:
    def awake() -> bool:
        rows = re.findall(
            r"192\.0\.2\.1[123] .*% +(\d+) ", show.paste("./on operator emperorctl fleet status")
        )
        return len(rows) == 3 and "0" not in rows

    # It was one minute before, and a lease is renewed each 10 s.
    eventually(awake, seconds=PATIENCE_SECONDS / 2)


def test_hosts_are_killed_and_start_again(show: Show) -> None:
    for name in ("etcd-1", "balancer-1", "backend-11"):
        assert show.order(f"./kill {name}") == name
        assert show.order(f"./start {name}") == "none"
    assert show.failed() == {"0"}


def test_a_host_of_another_name_runs_nothing_on_this_machine(show: Show) -> None:
    asked = subprocess.run(
        [show.folder + "/on", "balancer-9", "ls"], capture_output=True, text=True, check=False
    )
    assert (asked.returncode, asked.stdout) == (2, "")
    assert asked.stderr == "there is no host balancer-9\n"


def test_a_backend_has_no_rights_of_an_operator(show: Show) -> None:
    put = "emperorctl registry put new.example new.ini --owner nobody"
    refused = subprocess.run(
        f"./on backend-12 {put}", shell=True, cwd=show.folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "cannot put new.example: the registry refuses it: its user backend" in refused.stderr


def test_a_domain_is_put_and_served(show: Show) -> None:
    [put] = re.findall(r"^  (./on .* registry put .*)$", show.printed, re.M)
    [ask] = re.findall(r"^  (./on visitor curl .*new\.example.*)$", show.printed, re.M)
    show.paste(put)
    assert "new.example" in show.paste(ask)
    assert "new.example" in show.paste("./on operator emperorctl registry list")


def test_a_backend_gets_its_share(show: Show) -> None:
    show.paste("./on operator emperorctl fleet add 192.0.2.14 --yes")
    assert re.search(r"192\.0\.2\.14 .* 1023 ", show.paste("./on operator emperorctl fleet status"))
    show.paste("./on operator emperorctl fleet remove 192.0.2.14 --yes")


def test_an_interrupt_leaves_nothing(show: Show) -> None:
    show.process.send_signal(signal.SIGINT)
    assert show.process.wait(PATIENCE_SECONDS) == 0
    assert not Path(show.folder).exists()


def test_ctrl_c_on_a_terminal_reaches_it_alone() -> None:
    """The terminal sends the signal to each process of the foreground."""
    terminal, end = pty.openpty()
    command = ["setsid", "--ctty", sys.executable, "-m", "tests.fleet.show"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=end, stdout=end, stderr=end)
    os.close(end)
    printed = b""
    try:
        while b"visits answered" not in printed:
            printed += os.read(terminal, 65_536)
        os.write(terminal, b"\x03")
        with suppress(OSError):  # the end of the terminal
            while chunk := os.read(terminal, 65_536):
                printed += chunk
        assert process.wait(PATIENCE_SECONDS) == 0, printed.decode()
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    [folder] = re.findall(r"first:  cd (\S+)", printed.decode())
    assert not Path(folder).exists()
