"""Processes that are no children of this one: their parent died, or they were reaped."""

import os
import select
import subprocess
from pathlib import Path

from tests.eventually import eventually


class Orphan:
    """The leader of a group that is no child of this process: its parent died. It runs its script
    when it leads the group and its pidfd is open. `gone` is at its end when the group is dead."""

    def __init__(self, script: str) -> None:
        self.gone, held = os.pipe()
        gate, opener = os.pipe()
        command = f"setsid /bin/bash -c 'read -u {gate}; {script}' & echo $!"
        with subprocess.Popen(
            ["/bin/bash", "-c", command], pass_fds=[gate, held], stdout=subprocess.PIPE
        ) as parent:
            assert parent.stdout is not None
            self.pid = int(parent.stdout.readline())
        eventually(lambda: os.getsid(self.pid) == self.pid)
        self.pidfd = os.pidfd_open(self.pid)
        for fd in (held, gate, opener):
            os.close(fd)

    def is_all_gone(self) -> bool:
        readable, _, _ = select.select([self.gone], [], [], 0)
        return bool(readable) and os.read(self.gone, 1) == b""


def one_that_was_reaped() -> tuple[int, int]:
    """Its pid and a pidfd."""
    with subprocess.Popen(["/bin/true"]) as process:
        return process.pid, os.pidfd_open(process.pid)


def with_the_pid_again(pid: int) -> "subprocess.Popen[bytes] | None":
    """The leader of a group with that pid, None when another process has taken the pid."""
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
    process = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
    if process.pid == pid:
        return process
    process.kill()
    process.wait()
    return None


def reaped_and_replaced() -> "tuple[int, subprocess.Popen[bytes]] | None":
    """The pidfd of a process that was reaped, and a process that has its pid now."""
    pid, pidfd = one_that_was_reaped()
    if process := with_the_pid_again(pid):
        return pidfd, process
    os.close(pidfd)
    return None
