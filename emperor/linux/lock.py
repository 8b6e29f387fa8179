"""One daemon for one run-dir: a flock(2) that the kernel drops with the process that holds it."""

import fcntl
import os
from pathlib import Path
from typing import Self


class AlreadyRunning(Exception):
    """Another daemon serves this run-dir; the message names its pid."""


class RunLock:
    """Held from `__enter__` to the end of the block, or of the last process that has its `fd`.

    `held` is the descriptor of the daemon before: then the lock was never free in between. Raises
    AlreadyRunning.
    """

    def __init__(self, run_dir: Path, held: int | None = None) -> None:
        self._run_dir = run_dir
        self._held = held
        self._fd = -1

    @property
    def fd(self) -> int:
        """The descriptor that holds it."""
        return self._fd

    def __enter__(self) -> Self:
        self._fd = self._open()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise AlreadyRunning(
                f"cannot start: emperord with pid {pid} already serves {self._run_dir}"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return self

    def _open(self) -> int:
        path = self._run_dir / "emperord.lock"
        if self._held is not None:
            if path.exists() and os.path.samestat(os.fstat(self._held), path.stat()):
                return self._held
            os.close(self._held)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)

    def __exit__(self, *_: object) -> None:
        # The file stays: to unlink it would let a third daemon lock another file of that name.
        os.ftruncate(self._fd, 0)
        os.close(self._fd)
