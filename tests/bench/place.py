"""The folder that a measurement lives in, and its processes, none of which outlives it."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.eventually import eventually

# Where a fresh Debian has a disk and where it has memory.
DISK = Path("/tmp")
TMPFS = Path("/dev/shm")
_STOP_SECONDS = 30.0


@contextmanager
def place(parent: Path = DISK) -> Iterator[Path]:
    """A short-named empty folder that nginx's workers can enter. At its end whatever runs in it or
    was started with its name is killed, and it is removed."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        _end_all_in(folder)
        shutil.rmtree(folder)


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A daemon that writes to `log`. It has a session of its own: Ctrl-C must reach only the
    benchmark, which ends the daemons in order."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def serving(conf: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """nginx with that configuration, which puts its pid file beside it. It listens."""
    log = conf.with_name("error.log")
    with running(["nginx", "-e", log, "-c", conf, "-g", "daemon off;"], log) as process:
        pid = conf.with_name("nginx.pid")
        eventually(pid.exists, alive=[process], what=f"nginx listens ({log})")
        yield process


def _end_all_in(folder: Path) -> None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            told = [*process.cmdline(), process.cwd()]
            if process.pid != os.getpid() and any(str(folder) in word for word in told):
                process.kill()
