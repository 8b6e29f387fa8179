"""A program of its own: has the kernel refuse all forks of some processes before it copies them, by
their soft RLIMIT_NPROC, until its standard input ends.

It acts as their user and group, since a process without CAP_SYS_RESOURCE may change the limits of
these alone (prlimit(2)). Root's it is only until then. It becomes that user by itself and runs no
other program: so the kernel lets no process of that user trace it or look into it (PR_GET_DUMPABLE
in prctl(2)), and the rights of its group are nobody's to take.

emperord holds the other end of its input. So when emperord ends, by SIGKILL too, the processes get
their limits back. Its arguments are the folder of the control group that they are in, and their
uid. It imports the standard library alone.

Leaders of process groups, as uWSGI's master, are left alone: it forks a new worker for one that has
died, and tries that only once.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from resource import RLIMIT_NPROC, prlimit

# They may fork meanwhile. A new process has the limits of its parent.
_MOST_PASSES = 10


def become(uid: int, group: str) -> None:
    """Act as that user, and as the group that most of its processes have in this control group."""
    if uid == os.geteuid():
        return
    theirs = Counter(gid for pid in _processes(group) if (gid := _gid_of(pid, uid)) is not None)
    if not theirs:
        sys.exit("it has no process any more")
    [(gid, _)] = theirs.most_common(1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _gid_of(pid: int, uid: int) -> int | None:
    """The group of a process that is that user's alone. One of root's is about to become an app."""
    with suppress(OSError), open(f"/proc/{pid}/status", errors="replace") as status:
        fields = dict(line.split(":", 1) for line in status)
        uids, gids = (set(map(int, fields[key].split())) for key in ("Uid", "Gid"))
        if uids == {uid} and len(gids) == 1:
            return gids.pop()
    return None


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
            with suppress(OSError):  # it is gone, or has rights of another user or group
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
    group, uid = sys.argv[1:]
    become(int(uid), group)
    before = refuse(group)
    sys.stdin.buffer.read()
    allow(before)


if __name__ == "__main__":
    main()
