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
from collections.abc import Iterable, Iterator
from contextlib import suppress
from resource import RLIM_INFINITY, RLIMIT_NPROC, prlimit

# They may fork meanwhile. A new process has the limits of its parent.
_MOST_PASSES = 10


def become(uid: int, group: str) -> bool:
    """Act as that user, and as the group that most of its processes have in this control group.
    False: it has no process there any more."""
    if uid == os.geteuid():
        return True
    theirs = Counter(gid for pid in _processes(group) if (gid := _gid_of(pid, uid)) is not None)
    if not theirs:
        return False
    [(gid, _)] = theirs.most_common(1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    return True


def _gid_of(pid: int, uid: int) -> int | None:
    """The group of a process that is that user's alone. One of root's is about to become an app."""
    with suppress(OSError):
        status = _status(pid)
        uids, gids = (set(map(int, status[key].split())) for key in ("Uid", "Gid"))
        if uids == {uid} and len(gids) == 1:
            return gids.pop()
    return None


def _status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status", errors="replace") as status:
        return dict(line.split(":", 1) for line in status)


def refuse(group: str) -> dict[int, int]:
    """The soft limit that each process had before."""
    before: dict[int, int] = {}
    seen: set[int] = set()
    for _ in range(_MOST_PASSES):
        pids = set(_processes(group)) - seen
        if not pids:
            break
        lower(pids, before, are_forked_meanwhile=bool(seen))
        seen |= pids
    return before


def lower(pids: Iterable[int], before: dict[int, int], *, are_forked_meanwhile: bool) -> None:
    """Take the soft limits of these processes, and add them to `before`."""
    for pid in pids:
        with suppress(OSError):  # it is gone, or has rights of another user or group
            soft, hard = prlimit(pid, RLIMIT_NPROC)
            if soft != 0 and os.getpgid(pid) != pid:
                prlimit(pid, RLIMIT_NPROC, (0, hard))
                before[pid] = soft
            elif soft == 0 and are_forked_meanwhile:
                # Its parent lost its limit after the kernel had looked at that for this fork. Any
                # other has this one of an earlier program, which gives it back, or of the app.
                parent = int(_status(pid)["PPid"])
                if parent in before:
                    before[pid] = before[parent]


def _processes(group: str) -> Iterator[int]:
    for folder, _, _ in os.walk(group):
        with suppress(OSError), open(f"{folder}/cgroup.procs", encoding="ascii") as file:
            yield from map(int, file)


def allow(before: dict[int, int]) -> None:
    """Give these processes their soft limits back, as far as they have no other one by now."""
    for pid, soft in before.items():
        with suppress(OSError):  # it is gone
            now, hard = prlimit(pid, RLIMIT_NPROC)
            if now == 0:
                is_allowed = hard == RLIM_INFINITY or RLIM_INFINITY != soft <= hard
                prlimit(pid, RLIMIT_NPROC, (soft if is_allowed else hard, hard))


def main() -> None:
    group, uid = sys.argv[1:]
    if become(int(uid), group):
        before = refuse(group)
        sys.stdin.buffer.read()
        allow(before)


if __name__ == "__main__":
    main()
