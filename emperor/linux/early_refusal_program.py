"""A program of its own: has the kernel refuse all forks of some processes before it copies them, by
their soft RLIMIT_NPROC, until its standard input ends.

It runs as their user, since a process without CAP_SYS_RESOURCE may change the limits of its own
user's alone (prlimit(2)). emperord holds the other end of its input. So when emperord ends, by
SIGKILL too, they get their limits back. Its argument is the folder of the control group that they
are in. It imports the standard library alone.

Leaders of process groups, as uWSGI's master, are left alone: it forks a new worker for one that has
died, and tries that only once.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from resource import RLIMIT_NPROC, prlimit

# They may fork meanwhile. A new process has the limits of its parent.
_MOST_PASSES = 10


def refuse(group: str) -> dict[int, tuple[int, int]]:
    """The soft and hard limit that each process had before."""
    before: dict[int, tuple[int, int]] = {}
    seen: set[int] = set()
    for _ in range(_MOST_PASSES):
        pids = set(_processes(group)) - seen
        if not pids:
            break
        seen |= pids
        for pid in pids:
            with suppress(OSError):  # it is gone
                soft, hard = limits = prlimit(pid, RLIMIT_NPROC)
                # Of an earlier program, which gives that limit back, or of the app itself.
                if soft != 0 and os.getpgid(pid) != pid:
                    prlimit(pid, RLIMIT_NPROC, (0, hard))
                    before[pid] = limits
    return before


def _processes(group: str) -> Iterator[int]:
    for folder, _, _ in os.walk(group):
        with suppress(OSError), open(f"{folder}/cgroup.procs", encoding="ascii") as file:
            yield from map(int, file)


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
