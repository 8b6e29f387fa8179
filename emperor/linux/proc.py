"""Reads what the kernel tells of a process in /proc, see proc(5). What may wait for the process
says so: ask for it by linux/timed_query."""

import os
from collections.abc import Iterator
from contextlib import suppress

from emperor.model.text import one_line

# Of `state_fields`.
STATE, BORN_TICKS, RSS_PAGES = 0, 19, 21
# In user space and in the kernel: of the process, and of its reaped children.
USED_TICKS = slice(11, 15)
_LONGEST_ENVIRONMENT = 1 << 21


def state_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none where the process is gone. May wait."""
    with suppress(OSError), open(f"/proc/{pid}/stat", errors="replace") as stat:
        # The name, in parentheses, may hold anything.
        return stat.read().rpartition(")")[2].split()
    return []


def has_socket(pid: int, inode: int, fd: int) -> bool:
    """Whether the descriptor `fd` of a process is the socket with that inode. False where the
    process is gone, or not ours to look at. May wait."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]"
    return False


def has_socket_open(pid: int, inode: int) -> bool:
    """Whether any descriptor of a process is the socket with that inode. May wait."""
    with suppress(OSError):
        return any(has_socket(pid, inode, int(fd)) for fd in os.listdir(f"/proc/{pid}/fd"))
    return False


def environment_of(pid: int) -> list[bytes]:
    """The variables of a process, as NAME=value; none where it is gone. May wait."""
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        return file.read(_LONGEST_ENVIRONMENT).split(b"\0")
    return []


def parent_of(pid: int) -> int:
    """The parent of a process; 0 where it is gone."""
    return int(_status(pid, "PPid") or 0)


def name_of(pid: int) -> str:
    """The name of the command of a process, without what does not print; empty where it is gone."""
    return one_line(_status(pid, "Name"))


def user_of(pid: int) -> int | None:
    """The real uid of a process; None where it is gone."""
    uids = _status(pid, "Uid").split()
    return int(uids[0]) if uids else None


def is_dead(pid: int) -> bool:
    """Whether a process is gone, or only waits to be reaped."""
    return state_of(pid) in ("", "Z", "X")


def state_of(pid: int) -> str:
    """The letter for the state of a process; empty where it is gone. It does not wait."""
    return _status(pid, "State")[:1]


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for that signal; False where it is gone."""
    return bool(int(_status(pid, "SigCgt") or "0", 16) >> (number - 1) & 1)


def _status(pid: int, wanted: str) -> str:
    """A line of the status of a process; empty where it is gone."""
    with suppress(OSError), open(f"/proc/{pid}/status", errors="replace") as status:
        for line in status:
            key, _, value = line.partition(":")
            if key == wanted:
                return value.strip()
    return ""


def children_of(pid: int) -> Iterator[int]:
    """The children of all threads of a process."""
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            yield from children_of_thread(pid, int(thread))


def children_of_thread(pid: int, thread: int) -> tuple[int, ...]:
    """The children of one thread; none where the kernel lists none."""
    with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as listed:
        return tuple(map(int, listed.read().split()))
    return ()
