"""Children that the product spawns, and what can be seen of them."""

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emperor.linux.processes import LedProcess, open_log, spawn
from emperor.model.ports import Exit
from tests.eventually import eventually_async


def is_running(pid: int) -> bool:
    """Whether that process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def steal_exit_status(pid: int) -> None:
    os.waitpid(pid, 0)


class Household:
    """Spawns children whose output goes to one log."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.ends: list[Exit] = []

    def spawn(self, *argv: str, fds: dict[int, int] | None = None) -> LedProcess:
        log_fd = open_log(str(self.log))
        try:
            return spawn(
                argv,
                {"PATH": os.defpath},
                {1: log_fd, 2: log_fd} | (fds or {}),
                asyncio.get_running_loop(),
                self.ends.append,
            )
        finally:
            os.close(log_fd)

    def sh(self, script: str, fds: dict[int, int] | None = None) -> LedProcess:
        return self.spawn("/bin/sh", "-c", script, fds=fds)

    def told(self) -> str:
        return self.log.read_text()

    async def ended(self) -> str:
        [ended] = await eventually_async(lambda: self.ends)
        return str(ended)


@contextmanager
def soft_limit(kind: int, value: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))
