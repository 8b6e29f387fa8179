"""Processes in control groups, in each hierarchy that systemd may use."""

import subprocess
import sys
from pathlib import Path

HIERARCHIES = [
    path
    for name in ("unified", "systemd", "")
    if (path := Path("/sys/fs/cgroup", name)).joinpath("cgroup.procs").exists()
]


def removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:  # a process is on its way out
        return False
    return True


def in_group(group: Path, *command: str, stdin: int | None = None) -> "subprocess.Popen[str]":
    """Run a command in the group, and in a session of its own."""
    return subprocess.Popen(
        ["sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', str(group), *command],
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def members(group: Path) -> list[str]:
    return (group / "cgroup.procs").read_text().split()


def run_in(group: Path, expression: str) -> str:
    """What a daemon in that group would see, with `group` and `os` at hand."""
    script = (
        "import os; from pathlib import Path; from emperor.linux.cgroup import *;"
        f"group = Path({str(group)!r}); print({expression})"
    )
    with in_group(group, sys.executable, "-c", script) as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    return output.strip()
