"""A program of its own: has the kernel refuse all forks of some processes before it copies them, by
their soft RLIMIT_NPROC, until its standard input ends.

It runs as their user, since a process without CAP_SYS_RESOURCE may change the limits of its own
user's alone (prlimit(2)). emperord holds the other end of its input. So when emperord ends, by
SIGKILL too, they get their limits back. Its argument is the file of a control group that lists
them. It imports the standard library alone.

Leaders of process groups, as uWSGI's master, are left alone: it forks a new worker for one that has
died, and tries that only once.
"""

import os
import sys
from contextlib import suppress
from resource import RLIMIT_NPROC, prlimit

# They may fork meanwhile. A new process has the limits of its parent.
_MOST_PASSES = 10


def refuse(listed: str) -> dict[int, tuple[int, int]]:
    """The soft and hard limit that each process had before."""
    before: dict[int, tuple[int, int]] = {}
    seen: set[int] = set()
    for _ in range(_MOST_PASSES):
        with open(listed, encoding="ascii") as file:
            pids = {int(line) for line in file} - seen
        if not pids:
            break
        seen |= pids
        for pid in pids:
            with suppress(OSError):  # it is gone
                if os.getpgid(pid) == pid:
                    continue
                _, hard = limits = prlimit(pid, RLIMIT_NPROC)
                prlimit(pid, RLIMIT_NPROC, (0, hard))
                before[pid] = limits
    return before


def allow(before: dict[int, tuple[int, int]]) -> None:
    """Give these processes their limits back."""
    for pid, limits in before.items():
        # It is gone, or has lowered its hard limit.
        with suppress(OSError, ValueError):
            prlimit(pid, RLIMIT_NPROC, limits)


def main() -> None:
    before = refuse(sys.argv[1])
    sys.stdin.buffer.read()
    allow(before)


if __name__ == "__main__":
    main()
