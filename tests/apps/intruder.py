"""Attacks the machine from within an app. The path of a request names the attack, and its body has
the targets, as JSON. The answer says what succeeded, as JSON."""

import ctypes
import json
import os
import resource
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17
_LIBC = ctypes.CDLL(None, use_errno=True)


def _trace(pid: int) -> None:
    if _LIBC.ptrace(_PTRACE_ATTACH, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0x40000000)
    _LIBC.ptrace(_PTRACE_DETACH, pid, None, None)


def _take_descriptor(pid: int) -> None:
    """pidfd_getfd(2), which has no wrapper."""
    held = os.pidfd_open(pid)
    taken = _LIBC.syscall(438, held, 0, 0)
    os.close(held)
    if taken < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    os.close(taken)


def _write(path: str, text: str) -> None:
    with open(path, "r+", encoding="ascii") as file:
        file.write(text)


_ON_A_PROCESS: Mapping[str, Callable[[int], object]] = {
    "environment": lambda pid: Path(f"/proc/{pid}/environ").read_bytes(),
    "memory": lambda pid: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)),
    "map": lambda pid: Path(f"/proc/{pid}/maps").read_bytes(),
    "descriptors": lambda pid: os.listdir(f"/proc/{pid}/fd"),
    "folder": lambda pid: os.readlink(f"/proc/{pid}/cwd"),
    "root": lambda pid: os.listdir(f"/proc/{pid}/root"),
    "trace": _trace,
    "take a descriptor": _take_descriptor,
    "signal": lambda pid: os.kill(pid, signal.SIGCONT),
    "OOM killer": lambda pid: _write(f"/proc/{pid}/oom_score_adj", "1000"),
    "priority": lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
    "processors": lambda pid: os.sched_setaffinity(pid, os.sched_getaffinity(pid)),
    "limits": lambda pid: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0)),
}
_ON_A_FILE: Mapping[str, Callable[[str], object]] = {
    "read": lambda path: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK)),
    "write": lambda path: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)),
    "change the mode of": lambda path: os.chmod(path, 0o777),
    "take": lambda path: os.chown(path, os.getuid(), -1),
    "link": lambda path: os.link(path, os.environ["LINK"], follow_symlinks=False),
    "move": lambda path: os.rename(path, f"{path}.moved"),
    "add to": lambda path: os.mknod(f"{path}/added"),
    "replace": lambda path: os.symlink("/etc/passwd", path),
    "delete": lambda path: os.rmdir(path) if os.path.isdir(path) else os.unlink(path),
}


def _succeed(attacks: Mapping[str, Callable[[Any], object]], target: object) -> list[str]:
    done = []
    for name, attack in attacks.items():
        with suppress(OSError):
            attack(target)
            done.append(name)
    return done


class Attacks:
    """Each public method is an attack. It takes the targets."""

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter()

    def processes(self, pids: dict[str, int]) -> list[str]:
        """What can be done to the processes with these pids."""
        return [
            f"{name}: {done}" for name, pid in pids.items() for done in _succeed(_ON_A_PROCESS, pid)
        ]

    def child(self, _: None) -> list[str]:
        """What can be done to an own child: all, or the attacks are wrong."""
        pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
        done = _succeed(_ON_A_PROCESS, pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return sorted(_ON_A_PROCESS.keys() - done)

    def files(self, paths: list[str]) -> list[str]:
        """What can be done to these files and folders."""
        return [f"{done} {path}" for path in paths for done in _succeed(_ON_A_FILE, path)]

    def writable(self, paths: list[str]) -> list[str]:
        """The files among these that can be written."""
        return [path for path in paths if os.access(path, os.W_OK)]

    def knock(self, path: str) -> None:
        """Try without end to connect to that socket."""
        threading.Thread(target=self._knock, args=(path,), daemon=True).start()

    def _knock(self, path: str) -> None:
        while True:
            with socket.socket(socket.AF_UNIX) as knocking:
                try:
                    knocking.connect(path)
                    self._tries["connected"] += 1
                except OSError as error:
                    self._tries[type(error).__name__] += 1

    def knocked(self, _: None) -> dict[str, int]:
        """What came of these tries."""
        return dict(self._tries)

    def descriptors(self, _: None) -> dict[str, str]:
        """The own ones."""
        found = {}
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # that of the listing itself
                found[name] = os.readlink(f"/proc/self/fd/{name}")
        return found


_ATTACKS = Attacks()


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Do the attack that the path names."""
    attack = getattr(_ATTACKS, environ["PATH_INFO"].strip("/"))
    found = attack(json.loads(environ["wsgi.input"].read()))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]
