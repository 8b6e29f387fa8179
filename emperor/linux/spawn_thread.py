"""A thread with a table of descriptors of its own, in which processes are spawned.

posix_spawn(3) copies the table of the caller, and execve(2) closes what is close-on-exec in the
copy. With 10,000 listeners that takes the child 3 ms before its program runs (measured). This
thread has left the table of the process with unshare(2), and has closed all but its end of a
socket, over which it is given what a child needs. Its children are those of the process, as if
another thread had spawned them.
"""

import ctypes
import gc
import os
import signal
import socket
import threading
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue

# linux/sched.h; Python 3.11 has no os.unshare.
_CLONE_FILES = 0x400
_LAST = 2**31 - 1
_ROOM_FOR_FDS = socket.CMSG_SPACE(16 * array("i").itemsize)

# Spawns a process that gets these descriptors, each for the number in the child. Returns its pid.
# Raises OSError.
Spawn = Callable[[Mapping[int, int]], int]

_Orders = SimpleQueue[tuple[Spawn, tuple[int, ...]]]
_Results = SimpleQueue[int | OSError]
_Ancillary = list[tuple[int, int, bytes]]


class SpawnThread:
    """Runs a Spawn while the caller waits. Where the kernel does not let a thread have a table of
    its own, and where a descriptor cannot be passed, the caller runs it itself."""

    def __init__(self) -> None:
        self._orders: _Orders = SimpleQueue()
        self._results: _Results = SimpleQueue()
        self._near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A signal that the thread took would wake the event loop through a descriptor of its table.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            # It does not know this object, which ends it by its own end.
            ends = (far.fileno(), self._orders, self._results)
            threading.Thread(target=_serve, args=ends, daemon=True).start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        self._works = self._results.get() == 0
        far.close()

    def run(self, spawn: Spawn, fds: Mapping[int, int]) -> int:
        """The pid that `spawn` returns. Raises OSError."""
        result: int | OSError | None = None
        # Garbage that is collected in the thread would close descriptors of its table where those
        # of the process are meant.
        collects = gc.isenabled()
        gc.disable()
        try:
            if self._works and self._send(fds):
                self._orders.put((spawn, tuple(fds)))
                result = self._results.get()
        finally:
            if collects:
                gc.enable()
        if isinstance(result, OSError):
            raise result
        return spawn(fds) if result is None else result

    def close(self) -> None:
        """End the thread."""
        self._near.close()

    def _send(self, fds: Mapping[int, int]) -> bool:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds.values()))
        with suppress(OSError):
            self._near.sendmsg([b"\0"], [rights])
            return True
        return False


def _serve(far: int, orders: _Orders, results: _Results) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_FILES) != 0:
        results.put(OSError(ctypes.get_errno(), "unshare"))
        return
    os.closerange(3, far)
    os.closerange(far + 1, _LAST)
    with socket.socket(fileno=far) as channel:
        result: int | OSError = 0
        while True:
            results.put(result)
            # Between these two lines nothing is allocated that could begin a collection.
            data, passed, _, _ = channel.recvmsg(1, _ROOM_FOR_FDS, socket.MSG_CMSG_CLOEXEC)
            if not data:
                return
            result = _obey(*orders.get(), passed)


def _obey(spawn: Spawn, targets: tuple[int, ...], passed: _Ancillary) -> int | OSError:
    fds = array("i", b"".join(part for _, _, part in passed))
    try:
        return spawn(dict(zip(targets, fds, strict=True)))
    except OSError as error:
        return error
    except Exception as error:
        return OSError(0, repr(error))
    finally:
        for fd in fds:
            os.close(fd)
