"""A plain interpreter that has imported modules, and runs uWSGI in forks of itself: the lower bound
of a start from a base.

    python plain_fork.py SOCKET_FD LISTENER_FD MODULE…

It says `ready` on the socket. Each message there is a command line of uWSGI, with the descriptors
of a listener and of a log; the answer is the pid. Nothing here keeps apps apart: they have no user,
no control group and no environment of their own, and share what a fork must not share.
"""

import array
import gc
import importlib
import os
import socket
import sys
from contextlib import suppress
from typing import NoReturn

_LONGEST_COMMAND = 65536


def main(control: socket.socket, listener_fd: int, modules: list[str]) -> None:
    """Import, and fork until nobody asks any more."""
    for module in ("pyuwsgi", *modules):
        # Some need settings, or another module of the app's.
        with suppress(Exception):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()
    control.send(b"ready")
    while True:
        command, rights, _, _ = control.recvmsg(_LONGEST_COMMAND, socket.CMSG_SPACE(8))
        if not command:
            return
        listener, log = array.array("i", rights[0][2])
        if not os.fork():
            _leave(control)
            _become(command, listener, log, listener_fd)
        os.close(listener)
        os.close(log)
        os.wait()


def _leave(control: socket.socket) -> None:
    """Be no child of this interpreter's, as an app of emperord's is no child of its base."""
    if pid := os.fork():
        control.send(str(pid).encode())
        os._exit(0)
    control.close()
    os.setsid()


def _become(command: bytes, listener: int, log: int, listener_fd: int) -> NoReturn:
    import pyuwsgi  # type: ignore[import-not-found]  # noqa: PLC0415

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(listener, listener_fd)
    sys.argv = ["uwsgi"]
    pyuwsgi.run(command.decode().split("\0"))
    os._exit(1)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3:])
