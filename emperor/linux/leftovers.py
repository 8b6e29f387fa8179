"""Makes folders, sockets and links in a place where an earlier run may have left its own.

What is certainly a leftover of ours is taken over. Whatever else is found stays as it is, and the
caller gets a CannotListen that says what it is.
"""

import errno
import os
import socket
import stat
from contextlib import suppress

from emperor.model.domain import is_domain
from emperor.model.ports import CannotListen
from emperor.model.spec import SOCKET_PATH_BYTES

CLOSED_MODE = 0o000
FOLDER_MODE = 0o750  # nginx's group may enter, another tenant may not


def make_folder(path: str, owner: tuple[int, int]) -> None:
    """A folder of that owner (uid, gid) with FOLDER_MODE. Raises CannotListen and OSError."""
    with suppress(FileExistsError):
        os.mkdir(path, FOLDER_MODE)
    info = os.lstat(path)
    if stat.S_ISLNK(info.st_mode):
        _unlink_stale_link(path)
        os.mkdir(path, FOLDER_MODE)
        info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode):
        raise CannotListen(f"cannot make the folder {path}: {_in_its_place(info.st_mode)}")
    if (info.st_uid, info.st_gid) != owner:
        os.chown(path, *owner, follow_symlinks=False)
    if stat.S_IMODE(info.st_mode) != FOLDER_MODE:
        os.chmod(path, FOLDER_MODE)


def remove_if_empty(folder: str) -> None:
    """The opposite of `make_folder`, as far as that goes."""
    with suppress(OSError):  # it is gone, or holds what is not ours
        os.rmdir(folder)


def bind(path: str) -> socket.socket:
    """A non-blocking stream socket bound to `path` with CLOSED_MODE, whatever the umask.

    Raises CannotListen and OSError.
    """
    _check_length(path)
    unbound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(unbound.fileno(), CLOSED_MODE)
        try:
            unbound.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _unlink_stale_socket(path)
            unbound.bind(path)
    except BaseException:
        unbound.close()
        raise
    return unbound


def _check_length(path: str) -> None:
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        raise CannotListen(
            f"cannot listen on {path}: the kernel takes paths of {SOCKET_PATH_BYTES} bytes at"
            " most; choose a shorter `sockets-dir` or a shorter name"
        )


def _unlink_stale_socket(path: str) -> None:
    mode = os.lstat(path).st_mode
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"cannot listen on {path}: {_in_its_place(mode)}")
    if _is_alive(path):
        raise CannotListen(
            f"cannot listen on {path}: another process has bound it; stop that process"
            f" (`ss -xlp src {path}` names it)"
        )
    os.unlink(path)


def _is_alive(path: str) -> bool:
    """Whether a process has bound the socket file `path`. A datagram socket asks, so that a stream
    listener answers EPROTOTYPE: it gets no connection and is not woken."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        answer = probe.connect_ex(path)
        if answer == errno.EACCES:  # our own closed door, and we are not root
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            os.chmod(path, mode | stat.S_IWUSR)
            answer = probe.connect_ex(path)
            os.chmod(path, mode)
    return answer in (0, errno.EPROTOTYPE)


def link(path: str, domain: str) -> bool:
    """Make `path` a relative link to its neighbour `domain`; False if it was one already.

    Raises CannotListen and OSError.
    """
    _check_length(f"{path}/socket")
    try:
        os.symlink(domain, path)
    except FileExistsError:
        mode = os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            raise CannotListen(f"cannot make the alias {path}: {_in_its_place(mode)}") from None
        if os.readlink(path) == domain:
            return False
        _unlink_stale_link(path)
        os.symlink(domain, path)
    return True


def _unlink_stale_link(path: str) -> None:
    target = os.readlink(path)
    if not is_domain(target):
        raise CannotListen(
            f"cannot use {path}: it is a link to {target!r}, which emperord did not make; remove it"
        )
    if _is_alive(f"{path}/socket"):
        raise CannotListen(f"cannot use {path}: it is an alias of an app that is served now")
    os.unlink(path)


def _in_its_place(mode: int) -> str:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    kind = kinds.get(stat.S_IFMT(mode), "special file")
    return f"a {kind} is in its place; move it away"
