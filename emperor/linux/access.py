"""Finds what a user can do at a path, from the modes and owners of the files on the way.

The check runs as root, and the app as another user. A file with an access list (acl(5)) counts as
open to everybody, since its mode does not tell.
"""

import os
import stat
import struct

from emperor.model.access import Access, FileKind, Reach
from emperor.model.spec import Identity

_MOST_LINKS = 40
_ACL = "system.posix_acl_access"
_KINDS = {
    stat.S_IFREG: FileKind.FILE,
    stat.S_IFDIR: FileKind.FOLDER,
    stat.S_IFSOCK: FileKind.SOCKET,
}
_READ, _WRITE, _ENTER = 4, 2, 1
# BINPRM_BUF_SIZE of include/uapi/linux/binfmts.h.
_FIRST_LINE_BYTES = 256
# The list in the form of the kernel: the version, then tag, permission and id of each entry
# (include/uapi/linux/posix_acl_xattr.h). The id counts only in the entry of a user.
_ACL_VERSION, _NO_ID = 2, 0xFFFFFFFF
_ACL_OWNER, _ACL_USER, _ACL_GROUP, _ACL_MASK, _ACL_OTHERS = 0x01, 0x02, 0x04, 0x10, 0x20


class FileSystem:
    """The files of this machine."""

    def __init__(self) -> None:
        self._groups: dict[Identity, frozenset[int]] = {}

    def access(self, path: str, user: Identity) -> Access:
        """What `user` can do at the absolute `path`. Follows links."""
        pending = path.split("/")[::-1]
        here, links = "", 0
        while pending:
            part = pending.pop()
            if part == "..":
                here = os.path.dirname(here)
            if part in ("", ".", ".."):
                continue
            there = f"{here}/{part}"
            try:
                info = os.lstat(there)
                if stat.S_ISLNK(info.st_mode):
                    target = os.readlink(there)
            except (FileNotFoundError, NotADirectoryError):
                return Access(Reach.MISSING, there)
            except (OSError, ValueError):
                return Access(Reach.UNSEEN, there)
            if not self._may(here or "/", user, _ENTER):
                return Access(Reach.CLOSED, here or "/")
            if stat.S_ISLNK(info.st_mode):
                links += 1
                if links > _MOST_LINKS:
                    return Access(Reach.MISSING, there)
                here = "" if target.startswith("/") else here
                pending += target.split("/")[::-1]
            else:
                here = there
        return self._reached(here or "/", user, path.endswith("/"))

    def _reached(self, path: str, user: Identity, is_folder: bool) -> Access:
        info = os.stat(path)
        kind = _KINDS.get(stat.S_IFMT(info.st_mode), FileKind.OTHER)
        if is_folder and kind is not FileKind.FOLDER:
            return Access(Reach.MISSING, path)
        flags = os.statvfs(path).f_flag
        is_fixed = flags & os.ST_RDONLY
        # Root may run what anybody may run.
        is_program = kind is FileKind.FILE and info.st_mode & 0o111 and not flags & os.ST_NOEXEC
        return Access(
            Reach.REACHED,
            path,
            kind,
            can_read=self._may(path, user, _READ),
            can_write=self._may(path, user, _WRITE) and not is_fixed,
            can_enter=kind is FileKind.FOLDER and self._may(path, user, _ENTER),
            can_execute=bool(is_program) and self._may(path, user, _ENTER),
            owner=info.st_uid,
            is_sticky=bool(info.st_mode & stat.S_ISVTX),
        )

    def _may(self, path: str, user: Identity, permission: int) -> bool:
        if user.uid == 0:
            return True
        info = os.stat(path)
        if info.st_uid == user.uid:
            bits = info.st_mode >> 6
        elif _has_list(path):
            return True
        elif info.st_gid in self.groups_of(user):
            bits = info.st_mode >> 3
        else:
            bits = info.st_mode
        return bool(bits & permission)

    def first_line(self, path: str) -> str:
        """The first line of the regular file at the absolute `path`, without its end; empty where
        this process cannot read it or it is no UTF-8. It ends where the kernel ends that of a
        script."""
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
                is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                start = file.read(_FIRST_LINE_BYTES) if is_file else b""
            return start.partition(b"\n")[0].decode()
        except (OSError, ValueError):
            return ""

    def groups_of(self, user: Identity) -> frozenset[int]:
        """The groups that setpriv(1) gives the user, see linux/processes."""
        if user not in self._groups:
            others = () if user.user is None else os.getgrouplist(user.user, user.gid)
            self._groups[user] = frozenset({user.gid, *others})
        return self._groups[user]


def _has_list(path: str) -> bool:
    try:
        return bool(os.getxattr(path, _ACL))
    except OSError:
        return False


def let_read(fd: int, uid: int) -> None:
    """Let that user read the file, beside its owner, and nobody else. Raises OSError, also where
    the file system has no access lists."""
    entries = (
        (_ACL_OWNER, _READ, _NO_ID),
        (_ACL_USER, _READ, uid),
        (_ACL_GROUP, 0, _NO_ID),
        (_ACL_MASK, _READ, _NO_ID),
        (_ACL_OTHERS, 0, _NO_ID),
    )
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(fd, _ACL, struct.pack("<I", _ACL_VERSION) + packed)
