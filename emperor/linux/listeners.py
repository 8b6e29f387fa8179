"""Listening unix sockets, each for the life of its ini: folder, bind, mode, owner and links.

A socket is bound with mode 0000 and gets its owner before its door opens, so at no moment can a
wrong user connect. bind(2) takes the mode of the descriptor, less the umask (measured).

uWSGI gets a duplicate of the descriptor and with it the same O_NONBLOCK: 2.0.31 leaves it set and
serves well from it, with processes, threads and gevent alike (measured).
"""

import errno
import logging
import os
import select
import socket
import stat
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from emperor.linux.connections import Connections
from emperor.linux.leftovers import CLOSED_MODE, bind, link, make_folder, remove_if_empty
from emperor.linux.socket_owner import owners
from emperor.linux.stamps import same
from emperor.linux.unwanted_fds import send_away
from emperor.linux.wildcard_links import WildcardLinks
from emperor.model.log_fields import about
from emperor.model.ports import CannotListen
from emperor.model.posture import Door
from emperor.model.section import SettingsError
from emperor.model.settings import Settings
from emperor.model.snapshot import ListenerRef
from emperor.model.spec import Activation, Spec

log = logging.getLogger("emperord.listeners")

# This many refusals take some 2 ms. The loop calls again for the rest after all other events.
REFUSALS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class _Common:
    """What all listeners have in common. Owners are pairs of uid and gid, as in chown(2)."""

    connections: Connections
    sockets: str
    wildcard_links: WildcardLinks
    folder_owner: tuple[int, int]
    socket_owner: tuple[int, int]
    open_mode: int


class UnixListeners:
    """Makes listeners beneath `settings.sockets_dir`, a folder that it creates if need be.

    Raises SettingsError when that folder cannot be made, or when the owner or group is unknown.
    """

    def __init__(self, settings: Settings, loop: AbstractEventLoop) -> None:
        uid, gid = owners(settings)
        sockets = os.fspath(settings.sockets_dir)
        _make_sockets(sockets)
        wildcard_links = WildcardLinks(sockets)
        self._common = _Common(
            Connections(loop),
            sockets,
            wildcard_links,
            (os.geteuid(), gid),
            (uid, gid),
            settings.socket_mode,
        )

    def listen(self, spec: Spec) -> "UnixListener":
        """A listener on `spec.socket`, bound exactly as that is spelled, with the door closed
        (unless `spec.activation` is SOCKET) and a link for each of `spec.aliases`.

        Leftovers of an earlier run are taken over; nothing else is ever deleted. Raises
        CannotListen, and then leaves nothing behind.
        """
        common = self._common
        for name in (spec.domain, *spec.aliases):
            common.wildcard_links.drop(name)
        folder = f"{common.sockets}/{spec.domain}"
        try:
            try:
                make_folder(folder, common.folder_owner)
                return self._listen(spec)
            except BaseException:
                remove_if_empty(folder)
                raise
        except OSError as error:
            raise _cannot_listen(spec.socket, error) from error

    def unlink(self, name: str) -> None:
        """Remove the link of the host `name`; of a wildcard, the links of all hosts below it."""
        self._common.wildcard_links.drop(name)

    def _listen(self, spec: Spec) -> "UnixListener":
        with bind(spec.socket) as bound:
            info = os.lstat(spec.socket)
            ref = ListenerRef(info.st_ino, info.st_dev, info.st_atime_ns)
            listener = UnixListener(self._common, spec, bound.fileno(), ref)
            try:
                bound.listen(spec.backlog)
                os.chown(spec.socket, *self._common.socket_owner, follow_symlinks=False)
                listener.link_aliases(spec.aliases)
                if spec.is_always_open:
                    listener.close_door()
            except BaseException:
                listener.close()
                raise
            finally:
                bound.detach()  # the descriptor is the listener's
        return listener

    def adopt(self, spec: Spec, ref: ListenerRef | None, fd: int) -> "UnixListener":
        """Go on with a socket that an earlier daemon bound for `spec`, even where its path is gone.
        Without a reference the earlier daemon could not bind it again, and `fd` is -1."""
        listener = UnixListener(self._common, spec, fd, ref or ListenerRef(0, 0, 0))
        listener.take_over(spec.aliases)
        return listener


class UnixListener:
    """One bound socket, the descriptor `fd`; -1 is none. The mode of its path is its door: 0000,
    with which only root can connect, or the mode of the settings."""

    __slots__ = (
        "_activation",
        "_aliases",
        "_bound_at",
        "_common",
        "_device",
        "_domain",
        "_door",
        "_fd",
        "_inode",
        "_path",
    )

    def __init__(self, common: _Common, spec: Spec, fd: int, ref: ListenerRef) -> None:
        self._common = common
        self._domain = spec.domain
        self._path = spec.socket
        self._fd = fd
        self._device = same(ref.device)
        self._inode = ref.inode
        self._bound_at = ref.bound_at
        self._activation = spec.activation
        self._aliases: tuple[str, ...] = ()
        self._door = Door.CLOSED

    @property
    def fd(self) -> int:
        """The listening descriptor, non-blocking and close-on-exec; -1 when it is closed."""
        return self._fd

    @property
    def ref(self) -> ListenerRef:
        """How a later daemon recognises it."""
        return ListenerRef(self._inode, self._device, self._bound_at)

    def apply(self, spec: Spec) -> None:
        """Follow `spec` in its aliases, backlog and activation; it must name the same socket.

        listen(2) again gives a listening socket another backlog and keeps its queue (measured).
        Raises CannotListen, and then nothing was changed.
        """
        if self._is_closed():
            raise CannotListen(f"cannot listen on {self._path}: it could not be bound again")
        try:
            for alias in set(spec.aliases) - set(self._aliases):
                self._common.wildcard_links.drop(alias)
            former = self._aliases
            self.link_aliases(spec.aliases)
        except OSError as error:
            raise _cannot_listen(self._path, error) from error
        self._unlink_aliases(alias for alias in former if alias not in spec.aliases)
        with self._as_socket() as bound:
            bound.listen(spec.backlog)
        if self._activation is not spec.activation:
            self._activation = spec.activation
            self._set_mode()

    def take_over(self, aliases: tuple[str, ...]) -> None:
        """Keep the links that an earlier daemon made, and give the path to the owner in the
        current settings."""
        self._aliases = aliases
        info, owner = self._info(), self._common.socket_owner
        if info is None or (info.st_uid, info.st_gid) == owner:
            return
        folder = f"{self._common.sockets}/{self._domain}"
        try:
            os.chown(folder, *self._common.folder_owner, follow_symlinks=False)
            os.chown(self._path, *owner, follow_symlinks=False)
        except OSError as error:
            why, extra = error.strerror, about(self._domain)
            log.error("cannot change the owner of %s: %s", self._path, why, extra=extra)

    def open_door(self) -> None:
        """Let the users connect whom the mode of the settings allows."""
        self._set_door(Door.OPEN)

    def close_door(self) -> None:
        """Let only root connect. Under `activation = socket` the door stays open."""
        self._set_door(Door.CLOSED)

    def bar_door(self) -> None:
        """Let only root connect, under `activation = socket` too."""
        self._set_door(Door.BARRED)

    def link(self, host: str) -> bool:
        """Have nginx find this socket by `host` until the door closes. Returns whether it does."""
        return self._common.wildcard_links.add(host, self._domain)

    def _set_door(self, door: Door) -> None:
        self._door = door
        if door is not Door.OPEN:
            self._common.wildcard_links.drop_all(self._domain)
        self._set_mode()

    def _set_mode(self) -> None:
        stays_open = self._activation is Activation.SOCKET and self._door is Door.CLOSED
        is_open = self._door is Door.OPEN or stays_open
        wanted = self._common.open_mode if is_open else CLOSED_MODE
        info = self._info()
        if info is None or stat.S_IMODE(info.st_mode) == wanted:
            return
        try:
            os.chmod(self._path, wanted)
        except OSError as error:
            # A door that does not move is better than half of a transition.
            why, extra = error.strerror, about(self._domain)
            log.error("cannot set the mode of %s to %04o: %s", self._path, wanted, why, extra=extra)

    def watch(self, on_connection: Callable[..., object], argument: object, /) -> None:
        """Call `on_connection(argument)` while a connection is pending. The kernel reports a state
        and not an event, so the callback must empty the queue or call `unwatch`."""
        if not self._is_closed():
            self._common.connections.watch(self._fd, on_connection, argument)

    def unwatch(self) -> None:
        """Leave pending connections to the app. Harmless when nothing is watched."""
        if not self._is_closed():
            self._common.connections.unwatch(self._fd)

    def refuse(self, answer: bytes) -> int:
        """Accept pending connections, 256 at most, answer them with these bytes, close them, and
        return their number. Without a descriptor the others are refused later. Only for a listener
        that is watched and that no app has had: a process with a duplicate can clear O_NONBLOCK,
        and then accept(2) waits."""
        with self._as_socket() as bound:
            for refused in range(REFUSALS_AT_ONCE):
                try:
                    connection, _ = bound.accept()
                except BlockingIOError:
                    return refused
                except OSError as error:
                    self._common.connections.pause(self._fd, str(error.strerror))
                    return refused
                send_away(connection, answer)
        return REFUSALS_AT_ONCE

    def shut(self, answer: bytes) -> None:
        """Answer all pending connections with these bytes and close them, and have every later
        connect(2) fail, for all processes that have a duplicate too. Only `close` may follow."""
        if self._is_closed():
            return
        with suppress(OSError), self._as_socket() as bound:
            # After it accept(2) empties the queue and then fails. It never waits, whatever flags
            # another process sets on its duplicate (measured; 4,096 connections take 40 ms).
            bound.shutdown(socket.SHUT_RDWR)
            while True:
                connection, _ = bound.accept()
                send_away(connection, answer)

    def is_in_place(self) -> bool:
        """Whether the path still leads to this very socket, and no app has shut it down."""
        return not self._is_closed() and self._info() is not None and not self._is_shut_down()

    def _is_shut_down(self) -> bool:
        # A process with a duplicate can shutdown(2) the socket for all others, in one direction or
        # both (then it also hangs up), and that cannot be undone.
        poll = select.poll()
        poll.register(self._fd, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _info(self) -> os.stat_result | None:
        """The path's status while it is ours. Its inode's number cannot be another's meanwhile:
        a bound socket holds its inode even when that is unlinked."""
        try:
            info = os.lstat(self._path)
        except OSError:
            return None
        return info if (info.st_ino, info.st_dev) == (self._inode, self._device) else None

    def last_connect(self) -> float | None:
        """Wall-clock time of the last connect(2), by the path's atime (5 µs). None when there was
        none since the bind, and always on a file system that is mounted noatime."""
        info = self._info()
        return None if info is None or info.st_atime_ns <= self._bound_at else info.st_atime

    def note_next_connect(self) -> None:
        """Have the kernel note the next connect(2) too: relatime notes an access only when the file
        has changed since the last one."""
        info = self._info()
        if info and max(self._bound_at, info.st_mtime_ns, info.st_ctime_ns) < info.st_atime_ns:
            os.utime(self._path, ns=(info.st_atime_ns, info.st_atime_ns))

    def close(self) -> None:
        """Unlink path, links and folder as far as they still belong to this socket, and close it.
        Harmless when it is closed already."""
        if self._is_closed():
            return
        self.unwatch()
        self._common.wildcard_links.drop_all(self._domain)
        self._unlink_aliases(self._aliases)
        if self._info() is not None:  # after close(2) the inode's number could be another's
            try:
                os.unlink(self._path)
            except OSError as error:
                # The next bind at this path recognises it as a leftover.
                log.error(
                    "cannot remove %s: %s", self._path, error.strerror, extra=about(self._domain)
                )
        os.close(self._fd)
        self._fd = -1
        remove_if_empty(f"{self._common.sockets}/{self._domain}")

    def _is_closed(self) -> bool:
        return self._fd == -1

    @contextmanager
    def _as_socket(self) -> Iterator[socket.socket]:
        """An object for the block. One for each of thousands of listeners would take a twentieth of
        the memory of a sleeping app."""
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, self._fd)
        try:
            yield bound
        finally:
            bound.detach()

    def link_aliases(self, aliases: tuple[str, ...]) -> None:
        """Have nginx find this socket by these hosts too, for good. Raises CannotListen and
        OSError, and then nothing was changed."""
        made: list[str] = []
        try:
            for alias in aliases:
                if link(f"{self._common.sockets}/{alias}", self._domain):
                    made.append(alias)
        except BaseException:
            self._unlink_aliases(made)
            raise
        self._aliases = aliases

    def _unlink_aliases(self, aliases: Iterable[str]) -> None:
        for alias in aliases:
            path = f"{self._common.sockets}/{alias}"
            with suppress(OSError):  # gone, or no link any more
                if os.readlink(path) == self._domain:
                    os.unlink(path)


def _make_sockets(path: str) -> None:
    try:
        os.mkdir(path)
        os.chmod(path, 0o755)
    except FileExistsError:
        return
    except OSError as error:
        raise SettingsError(
            f"cannot use sockets-dir = {path}: {error.strerror}; create it"
        ) from error


def _cannot_listen(path: str, error: OSError) -> CannotListen:
    """The error with its cure, where one is known."""
    where = f" ({error.filename})" if error.filename not in (None, path) else ""
    cures = {
        errno.EACCES: f"; run emperord as root, or let uid {os.geteuid()} write there",
        errno.EPERM: "; only root may give files away or change those of others: run emperord as"
        " root, or set socket-owner and socket-group to its own user and group",
        errno.EMFILE: "; raise the limit on open files (LimitNOFILE= of the unit)",
        errno.ENOSPC: "; the file system has no room or no inodes left",
    }
    cure = cures.get(error.errno or 0, "")
    return CannotListen(f"cannot listen on {path}: {error.strerror or error}{where}{cure}")
