"""A machine with a real systemd as PID 1, to throw away.

systemd-nspawn boots it on an overlay of this machine's own root folder, or of that of another
release, so nothing has to be downloaded, and nothing it writes remains. All mounts are made in a
mount namespace of its own and end with it, even when a test is killed.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from uuid import uuid4

import psutil

from tests.eventually import PATIENCE_SECONDS, eventually
from tests.host import FOLDERS
from tests.systemd.cgroups import VERSION_VARIABLE, Cgroups, groups_named

# The overlay's upper folder has to be on a file system that is not itself an overlay. The box's
# cgroup must be its own in every hierarchy, or two boxes would share nspawn's `payload` group.
# A device with the numbers 0 and 0 in the upper folder hides what the lower one has of that name.
_BOOT = """
for group in $GROUPS_OF_BOX; do echo $$ > "$group/cgroup.procs"; done
mount -t tmpfs -o mode=755 tmpfs "$BOX/disk"
mkdir "$BOX/disk/work" "$BOX/disk/upper"
for path in $HIDDEN; do
  mkdir -p "$BOX/disk/upper${path%/*}"
  mknod "$BOX/disk/upper$path" c 0 0
done
options="upperdir=$BOX/disk/upper,workdir=$BOX/disk/work"
mount -t overlay overlay -o "lowerdir=$LOWER,$options" "$BOX/root"
mkdir -p "$BOX/root/usr/local/bin" "$BOX/root/usr/local/sbin"
sed -i '/^emperor:/d' "$BOX/root/etc/group" "$BOX/root/etc/gshadow"
cp -a "$BOX/tree/." "$BOX/root"
exec "$@"
"""

# nspawn mounts the controllers of cgroups v1 read-only, and a machine has them writable.
_WRITABLE = """
for place in /sys/fs/cgroup/*; do
  ! mountpoint -q $place || mount -o remount,bind,rw $place
done
"""

# What an administrator may have put on this machine. The box must not have it.
_HIDDEN = (
    *FOLDERS,
    "/etc/logrotate.d/emperord",
    "/etc/systemd/system",
    "/usr/local",
    # Without it dpkg does not index all manual pages of this machine at each of its runs, which
    # takes several times as long as all else that it does.
    "/var/lib/man-db/auto-update",
)

# Units that want hardware, a network or a console.
_MASKED = (
    "console-getty.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "tmp.mount",
)
_JOURNAL = "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n"


class BoxError(AssertionError):
    """The box did not boot or halt; the message ends with what its console showed."""


@dataclass(frozen=True, slots=True)
class Box:
    """A booted machine. `leader` is the pid of its PID 1 as this machine counts."""

    leader: int

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command in it. It is not alone in its process group: nsenter waits for it."""
        enter = ("nsenter", f"--target={self.leader}", "-m", "-u", "-i", "-n", "-p", "-r", "-w")
        return subprocess.Popen(
            [*enter, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in it and wait; whether it succeeded is the caller's to see."""
        with self.start(*command) as process:
            printed, _ = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, printed)

    def must(self, *command: str) -> str:
        """Run a command in it that has to succeed, and return what it printed."""
        result = self.run(*command)
        assert result.returncode == 0, f"{command} exited {result.returncode}: {result.stdout}"
        return result.stdout


@dataclass(frozen=True, slots=True)
class Base:
    """What a box is made of: the root folder below its overlay, and the version of cgroups that it
    sees, if not that which nspawn gives it by itself. `has_limits`: memory and processes can be
    limited in it with cgroups v1 as well."""

    root: Path = Path("/")
    cgroups: Cgroups | None = None
    has_limits: bool = False


@contextmanager
def booted(
    folder: Path,
    tree: Mapping[str, Path | str],
    binds: Mapping[str, Path],
    base: Base = Base(),
) -> Iterator[Box]:
    """A box in an empty `folder`: with what `tree` names (path in the box → file or folder to copy,
    or text), and the folders of `binds` (path in the box → folder here), read-only.

    Raises BoxError, with the end of its console.
    """
    for name in ("disk", "root"):
        (folder / name).mkdir()
    _plant(folder / "tree", tree)
    with ExitStack() as stack:
        groups = stack.enter_context(groups_named(folder.name, base.has_limits))
        told = stack.enter_context(_told(folder / "notify"))
        process = _nspawn(folder, groups, binds, base)
        stack.callback(_halt, process, folder)
        box = Box(_leader_of(told, process, folder))
        if base.has_limits:
            box.must("sh", "-euc", _WRITABLE)
            box.must("systemctl", "daemon-reexec")
        yield box


def _plant(root: Path, tree: Mapping[str, Path | str]) -> None:
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in _MASKED:
        (units / unit).symlink_to("/dev/null")
    usual = {"/etc/machine-id": "", "/etc/systemd/journald.conf.d/box.conf": _JOURNAL}
    for path, content in {**usual, **tree}.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path) and content.is_dir():
            shutil.copytree(content, place, symlinks=True, dirs_exist_ok=True)
        elif isinstance(content, Path):
            shutil.copy(content, place)
        else:
            place.write_text(content)


def _nspawn(
    folder: Path, groups: list[Path], binds: Mapping[str, Path], base: Base
) -> "subprocess.Popen[bytes]":
    # At SIGTERM nspawn halts the box, also when whoever runs the tests was killed.
    command = [
        "setpriv", "--pdeathsig", "TERM",
        "unshare", "--mount", "--propagation", "private", "sh", "-euc", _BOOT, "sh",
        "systemd-nspawn", "--quiet", "--boot", f"--directory={folder}/root",
        f"--machine={uuid4().hex}", "--register=no", "--keep-unit", "--private-network",
        "--notify-ready=yes", "--console=pipe", "--link-journal=no", "--kill-signal=SIGRTMIN+3",
        *(f"--bind-ro={here}:{there}" for there, here in binds.items()),
        "--", "--unit=basic.target",
    ]  # fmt: skip
    environment = {
        "PATH": os.environ["PATH"],
        "BOX": str(folder),
        "GROUPS_OF_BOX": " ".join(map(str, groups)),
        "HIDDEN": " ".join(_HIDDEN),
        "LOWER": str(base.root),
        "NOTIFY_SOCKET": str(folder / "notify"),
    }
    if base.cgroups is not None:
        environment[VERSION_VARIABLE] = base.cgroups.variable
    elif VERSION_VARIABLE in os.environ:
        environment[VERSION_VARIABLE] = os.environ[VERSION_VARIABLE]
    with (folder / "console").open("wb") as console:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextmanager
def _told(path: Path) -> Iterator[dict[str, str]]:
    """What nspawn tells of the box on the socket `path`, as it comes: READY=1 and others, see
    sd_notify(3).

    Somebody has to read until the end. nspawn and systemd wait when the queue is full; when the
    socket is closed, nspawn of systemd 257 no longer reads what the box's PID 1 writes.
    """
    told: dict[str, str] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))

        def read() -> None:
            while message := notify.recv(4096):
                lines = (line.partition("=") for line in message.decode().splitlines())
                told.update({name: value for name, _, value in lines})

        reader = Thread(target=read)
        reader.start()
        try:
            yield told
        finally:
            notify.shutdown(socket.SHUT_RD)
            reader.join()


def _leader_of(told: Mapping[str, str], process: "subprocess.Popen[bytes]", folder: Path) -> int:
    """The pid that nspawn tells, as soon as PID 1 says that it is ready."""
    try:
        eventually(lambda: told.get("READY") == "1", alive=[process], what="systemd is ready")
    except AssertionError as error:
        raise BoxError(f"cannot boot a box: {error}\n{_console(folder)}") from error
    return int(told["X_NSPAWN_LEADER_PID"])


def _halt(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired as error:
        # The box's PID 1 outlives nspawn, which has moved it into a session of its own.
        left = psutil.Process(process.pid).children(recursive=True)
        seen = "\n".join(_seen(child) for child in left)
        for child in left:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.kill()
        process.wait()
        raise BoxError(f"cannot halt a box\n{_console(folder)}\nstill there:\n{seen}") from error


def _seen(process: psutil.Process) -> str:
    """What a process is, its state, and the function of the kernel that it waits in."""
    try:
        waits = Path(f"/proc/{process.pid}/wchan").read_text()
        return f"{process.pid} {process.status()} {waits} {' '.join(process.cmdline())}"
    except (psutil.Error, OSError):
        return f"{process.pid} has ended"


def _console(folder: Path) -> str:
    return (folder / "console").read_text(errors="replace")[-4000:]
