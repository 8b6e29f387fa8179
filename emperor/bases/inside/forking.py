"""What a base does: it imports, and forks a spare whenever it is told to."""

import array
import ctypes
import gc
import os
import socket
from contextlib import suppress
from typing import NoReturn

from emperor.bases.inside.app import become_app
from emperor.bases.inside.fault_in import fault_in
from emperor.bases.inside.host import Host
from emperor.bases.inside.needs import Needs
from emperor.bases.inside.own import NAME, become_base, title
from emperor.bases.inside.place import received
from emperor.bases.inside.preload import preload
from emperor.bases.inside.python import restore_python
from emperor.bases.inside.reads import Reads
from emperor.bases.inside.store import Store
from emperor.bases.order import Imported, answer, import_of, order_of

CONTROL_FD = 3
_MESSAGE_BYTES = 1 << 18
_ROOM_FOR_FDS = socket.CMSG_SPACE(64 * array.array("i").itemsize)


def run(loaded_by_python: frozenset[str], needs: Needs) -> NoReturn:
    """Be a base, whose orders come from a socket. `loaded_by_python` are the modules that any
    Python has loaded at its start; `needs` has noted all imports since then."""
    gc.disable()
    control = socket.socket(fileno=CONTROL_FD)
    if not (data := control.recv(_MESSAGE_BYTES)):
        os._exit(0)
    wanted = import_of(data)
    _protect_from_oom_killer(wanted.oom_score_adj)
    # The module itself notes the command line when it is made, which is that of an app.
    ctypes.CDLL(wanted.pyuwsgi)
    # uWSGI looks for it in each app, in 40 folders, most of which glibc knows not to be there then.
    with suppress(OSError):
        ctypes.CDLL("librrd.so")
    host = Host(wanted.pyuwsgi)
    host.rename(NAME, [title()], {})
    restore_python()
    reads = Reads(needs)
    reads.begin()
    left_out = preload(wanted.modules)
    reads.end()
    needs.end()
    store = Store(needs, reads)
    store.put_away(loaded_by_python)
    _serve(control, Imported(store.names, left_out), host, store)


def _serve(control: socket.socket, imported: Imported, host: Host, store: Store) -> NoReturn:
    control.set_inheritable(False)
    gc.collect()
    gc.freeze()
    with suppress(OSError):  # emperord has ended
        control.send(answer(imported))
        _fork_spares(control, host, store)
    os._exit(0)


def _fork_spares(control: socket.socket, host: Host, store: Store) -> None:
    """Raises OSError when emperord has ended with an answer unread."""
    while True:
        data, ancillary, _, _ = control.recvmsg(_MESSAGE_BYTES, _ROOM_FOR_FDS)
        if not data:
            return
        [channel] = received(ancillary)
        with suppress(OSError):  # no process is left; the closed channel says so
            if (pid := os.fork()) == 0:
                os.close(control.detach())
                _fork_again(channel, data[1:], host, store)
            os.waitpid(pid, 0)
        os.close(channel)


def _fork_again(channel: int, pages: bytes, host: Host, store: Store) -> NoReturn:
    first = os.getpid()
    try:
        if os.fork() == 0:
            while os.getppid() == first:  # until it is emperord, which looks for its children
                os.sched_yield()
            _wait(socket.socket(fileno=channel), pages, host, store)
    finally:
        os._exit(1)


def _wait(channel: socket.socket, pages: bytes, host: Host, store: Store) -> NoReturn:
    """Become the app of an order, if one comes. `pages` are those that an app is known to use."""
    os.setsid()
    channel.send(b"h")
    fault_in(pages, channel)
    data, ancillary, _, _ = channel.recvmsg(_MESSAGE_BYTES, _ROOM_FOR_FDS)
    if not data:
        os._exit(0)
    order, fds = order_of(data), received(ancillary)
    if order.app is None:
        imported = become_base(order, fds, channel.detach(), host, store)
        _serve(socket.socket(fileno=CONTROL_FD), imported, host, store)
    try:
        become_app(order, fds, channel.detach(), host, store)
    except BaseException as error:
        os.write(2, f"emperord: cannot start the app: {error}\n".encode())
        os._exit(1)


def _protect_from_oom_killer(score: int) -> None:
    """Give apps no protection of the daemon's."""
    # A container may not lower it.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(score))
