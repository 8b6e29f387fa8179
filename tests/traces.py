"""The names of what this run of the tests makes on this machine, and what is left of it.

Each process that runs tests is a run of its own: each worker of pytest-xdist too.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

# The names of folders and control groups begin with it. It is drawn, since a run that was killed
# may have left folders and the kernel uses pids again; and short, since the paths of sockets are.
PREFIX = f"e{secrets.token_hex(3)}-"
# Processes inherit this variable, unless they get an environment of their own.
VARIABLE = "EMPERORD_TESTS"
# A folder on a disk: Debian 13 has /tmp in memory.
DISK = Path("/var/tmp")
_PARENTS = (Path("/tmp"), Path("/dev/shm"), DISK)
_GROUPS = Path("/sys/fs/cgroup")


@contextmanager
def public_folder(parent: Path = _PARENTS[0]) -> Iterator[Path]:
    """A short-named empty folder that nginx's workers can enter; gone afterwards.

    pytest's own lie below one that is closed to other users, and are too long for sockets.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def traces() -> list[str]:
    """All that is there now, in words."""
    return [*_processes(), *_mounts(), *_folders(), *_control_groups(), *_namespaces()]


def _processes() -> Iterator[str]:
    """A namespace without a name ends with its last process, so these stand for theirs too."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            texts = [process.cwd(), *process.cmdline()]
            is_ours = any(f"/{PREFIX}" in word for word in texts) or _has_mark(process)
            if is_ours and process.pid != os.getpid():
                yield f"process {process.pid}: {' '.join(texts)}"


def _has_mark(process: psutil.Process) -> bool:
    try:
        return process.environ().get(VARIABLE) == PREFIX
    except psutil.Error:
        return False


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if f"/{PREFIX}" in line:
            yield f"mount {line}"


def _folders() -> Iterator[str]:
    for parent in _PARENTS:
        yield from (f"folder {path}" for path in parent.glob(f"{PREFIX}*"))


def _control_groups() -> Iterator[str]:
    for folder, names, _ in os.walk(_GROUPS):
        yield from (f"control group {folder}/{name}" for name in names if PREFIX in name)


def _namespaces() -> Iterator[str]:
    """The namespaces that only a descriptor of this process keeps alive."""
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            if (target := os.readlink(entry)).startswith(("net:[", "mnt:[", "pid:[", "user:[")):
                yield f"namespace {target}"
