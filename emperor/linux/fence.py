"""Has a process of its own (fence_program) kill apps at a deadline, also while the daemon hangs.

The process outlives a daemon that crashes or is upgraded, and the next one goes on with it by the
path of its socket.
"""

import errno
import json
import os
import socket
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = Path(__file__).with_name("fence_program.py")
# Its queue has room for ten messages (net.unix.max_dgram_qlen), and the last one counts.
_PATIENCE_SECONDS = 0.5
# The kernel takes no datagram of more than net.core.wmem_default, by default 212,992 bytes: some
# 1,200 apps with control groups.
_MOST_BYTES = 1 << 16
_IN_FILE = b"0"
_NOBODY = (errno.ENOENT, errno.ECONNREFUSED)


@dataclass(frozen=True, slots=True)
class Fenced:
    """The leader of a process group, the name of its control group, if it has one, and when it is
    to be killed, by the clock of the boot."""

    pid: int
    group: str
    deadline: float


def _folder(pid: int, name: str) -> str:
    """The folder of the control group `name` that a process is in; empty where there is none that
    ends all of it at once."""
    if not name:
        return ""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            number, _, path = line.split(":", 2)
            folder = f"/sys/fs/cgroup{path}"
            is_its = number == "0" and path.endswith(f"/{name}")
            if is_its and os.path.exists(f"{folder}/cgroup.kill"):
                return folder
    return ""


class FenceClient:
    """The daemon's end of the fence. `path` is that of the socket, in a folder that only the
    daemon's user can write to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_PATIENCE_SECONDS)

    def close(self) -> None:
        """Have the process end, if there is one: nothing is to be killed any more."""
        with suppress(OSError):
            self._socket.sendto(json.dumps("end").encode(), str(self._path))
        with suppress(OSError):
            self._path.unlink()
        self._socket.close()

    def tell(self, apps: Collection[Fenced]) -> None:
        """Have these killed, each at its deadline, and no others any more. Raises OSError where
        nobody would do it."""
        told = [(each.pid, _folder(each.pid, each.group), each.deadline) for each in apps]
        message = json.dumps(told).encode()
        try:
            self._send(message)
        except OSError as error:
            if error.errno not in _NOBODY:
                raise
            if apps:
                self._start()
                self._send(message)

    def _send(self, message: bytes) -> None:
        """A longer message goes as a file of its own, so that it is still whole or not there."""
        if len(message) <= _MOST_BYTES:
            self._socket.sendto(message, str(self._path))
            return
        with open(os.memfd_create("fence", os.MFD_CLOEXEC), "w+b", buffering=0) as file:
            file.write(message)
            # Python's send_fds takes an address and ignores it.
            number = file.fileno().to_bytes(4, sys.byteorder)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, number)
            self._socket.sendmsg([_IN_FILE], [rights], 0, str(self._path))

    def _start(self) -> None:
        with suppress(FileNotFoundError):
            self._path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messages:
            messages.bind(str(self._path))
            os.chmod(self._path, 0o600)
            os.posix_spawn(
                sys.executable,
                # Isolated, and without site: it takes 6 MB.
                [sys.executable, "-I", "-S", str(_PROGRAM)],
                {},
                file_actions=[(os.POSIX_SPAWN_DUP2, messages.fileno(), 0)],
                setsid=True,
            )
