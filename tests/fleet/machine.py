"""Machines of the test fleet: namespaces in which the shipped files stand at their real paths.

Each has a network, processes, a host name, control groups, /etc, /var and /run of its own. All else
is this machine's, so nothing has to be installed. /etc and /var outlive a power cut, /run does not.

Mounts are made in the machine's own namespace, and its PID 1 dies with the thread that made it: a
killed test leaves nothing that runs.
"""

import os
import shutil
import signal
import stat
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil

from tests.backend import BIN
from tests.fleet.network import Network
from tests.host import FOLDERS
from tests.systemd.cgroups import groups_named
from tests.traces import PREFIX, public_folder

_PATH = f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"
# PID 1 reaps orphans, which `wait` does.
_BOOT = """
mount -t tmpfs -o mode=755 tmpfs /run
for tree in etc var; do
  layers=lowerdir=/$tree,upperdir=$DISK/$tree,workdir=$DISK/work-$tree
  mount -t overlay overlay -o "$layers" /$tree
done
mount --bind "$DISK/log" /var/log
hostname "$NAME"
echo booted
sleep infinity &
wait
"""
_IDLE = ["sleep", "infinity"]
# It stays in the background, where it belongs to PID 1. A daemon of another machine, in the same
# control group, would take these processes for its own.
_START = """
log=$1 groups=$2
shift 2
for group in $groups; do echo 0 >"$group/cgroup.procs"; done
setsid "$@" </dev/null >>"$log" 2>&1 &
"""


@contextmanager
def empty_disk() -> Iterator[Path]:
    """In memory: the upper folder of an overlay must not lie on another one, as a container's /tmp
    does."""
    with public_folder(Path("/dev/shm")) as folder:
        try:
            yield folder
        finally:
            # Others may only append to the log of a user's app.
            for log in folder.glob("log/emperord/*.log"):
                subprocess.run(["chattr", "-a", log], check=True)


class MachineError(AssertionError):
    """A machine did not boot, or a command in it failed; the message ends with what it printed."""


class Machine:
    """A host with the network `network`, whose disk is the empty folder `disk`; off at first. A
    context manager, whose end is a power cut."""

    def __init__(self, name: str, network: Network, disk: Path) -> None:
        self.name = name
        self._network = network
        self._disk = disk
        self._disk.chmod(0o755)
        (self._disk / "log/nginx").mkdir(parents=True)
        self.replace()
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._groups: list[Path] = []
        self._while_on = ExitStack()

    def replace(self) -> None:
        """Put another machine in its place, while it is off: all is new but the logs, which tests
        read."""
        for folder in ("etc", "var", "work-etc", "work-var"):
            shutil.rmtree(self._disk / folder, ignore_errors=True)
            (self._disk / folder).mkdir()
        (self._disk / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        self._hide_installation()

    def _hide_installation(self) -> None:
        """An overlay hides what its upper folder has a device of these numbers for."""
        for folder in FOLDERS:
            if folder.startswith(("/etc/", "/var/")):
                place = self._disk / folder.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.power_off()

    @property
    def root(self) -> Path:
        """Its root folder, seen from here, while it is on."""
        return Path(f"/proc/{self._init}/root")

    @property
    def logs(self) -> Path:
        """Its /var/log, which can be read while it is off as well."""
        return self._disk / "log"

    def power_on(self) -> None:
        """Boot it. No service runs then. Raises MachineError."""
        command = [
            "setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={self._network.path}",
            "unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc",
            "sh", "-euc", _BOOT,
        ]  # fmt: skip
        environment = {"PATH": _PATH, "DISK": str(self._disk), "NAME": self.name}
        console = self._disk / "console"
        with console.open("ab") as errors:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # which Ctrl-C does not reach
            )
        assert process.stdout is not None
        with process.stdout as output:
            if output.readline() != b"booted\n":
                process.kill()
                process.wait()
                raise MachineError(f"cannot boot {self.name}: {console.read_text()}")
        groups = groups_named(f"{PREFIX}{self.name}", are_limiting=True)
        self._groups = self._while_on.enter_context(groups)
        (init,) = psutil.Process(process.pid).children()
        self._process, self._init = process, init.pid

    def power_off(self) -> None:
        """Pull the plug: all its processes are killed at once, and when this returns they are
        gone. Its network stays, and refuses connections."""
        assert self._process is not None
        os.kill(self._init, signal.SIGKILL)
        self._process.wait()
        self._process = None
        self._while_on.close()

    def freeze(self) -> None:
        """Stop every process but PID 1, as if the machine hung. Its kernel goes on accepting
        connections."""
        self.must("sh", "-c", "kill -STOP -1")

    def thaw(self) -> None:
        """Let every process go on that `freeze` has stopped."""
        self.must("sh", "-c", "kill -CONT -1")

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in it and wait; whether it succeeded is the caller's to see."""
        enter = ("nsenter", f"--target={self._init}", "--mount", "--pid", "--net", "--uts")
        return subprocess.run(
            [*enter, *command],
            env={"PATH": _PATH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def must(self, *command: str) -> str:
        """Run a command in it that has to succeed, and return what it printed. Raises
        MachineError."""
        result = self.run(*command)
        if result.returncode != 0:
            status = f"{command} exited {result.returncode} on {self.name}"
            raise MachineError(f"{status}: {result.stdout}")
        return result.stdout

    def start(self, log: str, *command: str) -> None:
        """Run a command in the background, and append what it prints to the file `log`."""
        groups = " ".join(map(str, self._groups))
        self.must("sh", "-euc", _START, "sh", log, groups, *command)

    def processes(self) -> list[psutil.Process]:
        """All its processes but PID 1 and its `sleep`."""
        own = os.readlink(f"/proc/{self._init}/ns/pid")
        found = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):  # it has ended meanwhile
                is_here = os.readlink(f"/proc/{process.pid}/ns/pid") == own
                if is_here and process.cmdline() != _IDLE and process.pid != self._init:
                    found.append(process)
        return found
