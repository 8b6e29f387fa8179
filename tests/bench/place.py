"""The folder and the processes of a measurement, which are removed at its end."""

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

# On Debian these folders are on a disk and in memory.
DISK = Path("/tmp")
TMPFS = Path("/dev/shm")
_STOP_SECONDS = 30.0


@contextmanager
def place(parent: Path = DISK) -> Iterator[Path]:
    """An empty folder with a short path, which nginx's workers can enter. At the end all processes
    that run in it, or have its path in their arguments, are killed, and the folder is removed."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        _end_all_in(folder)
        # To the logs of users' apps one can only append, also when the daemon was killed.
        subprocess.run(["chattr", "-R", "-f", "-a", folder], check=False)
        shutil.rmtree(folder)


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a daemon that writes to `log`, in a session of its own: Ctrl-C must reach only the
    benchmark, which stops the daemons in order."""
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
    """Run nginx with this configuration, which has its pid file beside it, until it listens."""
    log = conf.with_name("error.log")
    with running(["nginx", "-e", log, "-c", conf, "-g", "daemon off;"], log) as process:
        pid = conf.with_name("nginx.pid")
        eventually(pid.exists, alive=[process], what=f"nginx listens ({log})")
        yield process


def _end_all_in(folder: Path) -> None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            texts = [*process.cmdline(), process.cwd()]
            if process.pid != os.getpid() and any(str(folder) in text for text in texts):
                process.kill()
