"""Leaves memory behind that no process has: SIZE bytes in each process, in System V shared memory
or in a new file in FOLDER. Answers when it is there."""

import ctypes
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

IPC_PRIVATE, OWN = 0, 0o1600
size = int(os.environ["SIZE"])


def leave() -> None:
    """Leave it."""
    if folder := os.environ.get("FOLDER"):
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            for _ in range(size >> 20):
                file.write(b"x" * (1 << 20))
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    number = libc.shmget(IPC_PRIVATE, ctypes.c_size_t(size), OWN)
    address = libc.shmat(number, None, 0)
    assert number >= 0, os.strerror(ctypes.get_errno())
    ctypes.memset(ctypes.c_void_p(address), ord("x"), size)


def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """A WSGI application."""
    leave()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"left"]
