"""Takes the place of an app, as sh(1) and setpriv(1) do it otherwise: its descriptors, control
group, limits, folder and user."""

import array
import ctypes
import fcntl
import os
import pwd
import resource

from emperor.bases.inside.host import LIBC
from emperor.bases.order import Place, User

_NOT_ENTERED = 125

# linux/prctl.h, linux/capability.h
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = "/proc/sys/kernel/cap_last_cap"


def take_place(place: Place, fds: list[int], channel: int) -> tuple[int, list[int]]:
    """Take all but the user. `fds` are the descriptors of the app, and behind them the files by
    which it enters its control group. Returns the channel under another number, and the groups of
    the user."""
    wanted = dict(zip(place.targets, fds[: len(place.targets)], strict=True))
    for output in (1, 2):
        os.dup2(wanted[output], output)
    enter_group(dict(zip(place.entrances, fds[len(place.targets) :], strict=True)))
    # What reads the accounts may keep a descriptor, which is closed with all others.
    groups = groups_of(place.user)
    above = max(*place.targets, *fds, channel) + 1
    moved = fcntl.fcntl(channel, fcntl.F_DUPFD_CLOEXEC, above)
    take_descriptors(wanted, moved)
    resource.setrlimit(resource.RLIMIT_NOFILE, place.open_files)
    if place.nice:
        os.nice(place.nice)
    enter_folder(place.folder)
    return moved, groups


def take_descriptors(targets: dict[int, int], reports: int) -> None:
    """Put each descriptor under the number that the app expects, and close all others below
    `reports`."""
    moved = {to: fcntl.fcntl(fd, fcntl.F_DUPFD, reports) for to, fd in targets.items()}
    os.closerange(3, reports)
    for target, fd in moved.items():
        os.dup2(fd, target)
        os.close(fd)


def enter_group(entrances: dict[str, int]) -> None:
    """Enter the control groups, or end in the words of the shell that enters them otherwise
    (emperor/linux/groups.py)."""
    for path, entrance in entrances.items():
        try:
            os.write(entrance, b"0")
        except OSError as error:
            os.write(2, f"emperord: cannot write {path}: {error.strerror}\n".encode())
            os._exit(_NOT_ENTERED)


def enter_folder(folder: str) -> None:
    """Enter it, or end with the reason."""
    try:
        os.chdir(folder)
    except OSError as error:
        os.write(2, f"emperord: cannot enter {folder}: {error.strerror}\n".encode())
        os._exit(1)


def groups_of(user: User | None) -> list[int]:
    """The groups of a user. Ends for one without an account, in the words of setpriv(1)."""
    if user is None or user.name is None:
        return []
    try:
        pwd.getpwuid(user.uid)
    except KeyError:
        os.write(2, f"setpriv: uid {user.uid} not found\n".encode())
        os._exit(1)
    return os.getgrouplist(user.name, user.gid)


def take_user(user: User | None, groups: list[int], no_new_privs: bool) -> None:
    """Take the user and the groups, and give up all capabilities, as setpriv(1) does."""
    if user is None or user.uid == 0:
        return
    if no_new_privs:
        with open(_LAST_CAPABILITY, encoding="ascii") as file:
            last = int(file.read())
        for number in range(last + 1):
            _must(LIBC.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "PR_CAPBSET_DROP")
    os.setgroups(groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _must(LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    if no_new_privs:
        _must(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    # A process that changes its user may not look at itself in /proc, until it execs.
    _must(LIBC.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "PR_SET_DUMPABLE")


def _must(result: int, call: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")


def received(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    return array.array("i", b"".join(part for _, _, part in ancillary)).tolist()
