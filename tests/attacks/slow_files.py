"""A file system of a tenant's (FUSE) with files whose closing never ends.

A process that execs with such a file open stays within execve(2), and the kernel lets everybody
wait who asks for its /proc/PID/stat.
"""

import ctypes
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# linux/fuse.h: struct fuse_in_header, and what is answered.
_HEADER = struct.Struct("=IIQQIIIHH")
_ANSWER = struct.Struct("=IiQ")
_LOOKUP, _GETATTR, _OPEN, _FLUSH, _INIT = 1, 3, 14, 25, 26
_WITHOUT_ANSWER = {2, 42}  # FORGET, BATCH_FORGET
_ENOSYS = 38
_DETACH = 2
_LONGEST_REQUEST = 1 << 17
_FOREVER = 3600


@contextmanager
def slow_files(folder: Path) -> Iterator[threading.Event]:
    """Mount it at a new folder. The event is set when a process begins to close a file."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    if libc.mount(b"slow", str(folder).encode(), b"fuse", 0, options.encode()):
        os.close(device)
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    closing = threading.Event()
    end = os.eventfd(0)
    server = threading.Thread(target=_serve, args=(device, end, closing), daemon=True)
    server.start()
    try:
        yield closing
    finally:
        libc.umount2(str(folder).encode(), _DETACH)
        os.eventfd_write(end, 1)
        server.join()
        # The kernel ends all that waits for an answer.
        os.close(device)
        os.close(end)
        folder.rmdir()


def _attributes(number: int) -> bytes:
    mode = 0o40755 if number == 1 else 0o100666
    return struct.pack("=QQQQQQIIIIIIIIII", number, *[0] * 8, mode, 1, 0, 0, 0, 4096, 0)


def _serve(device: int, end: int, closing: threading.Event) -> None:
    """Answer the kernel until the end."""
    while True:
        ready, _, _ = select.select([device, end], [], [])
        if end in ready:
            return
        request = os.read(device, _LONGEST_REQUEST)
        _, kind, unique, node, *_ = _HEADER.unpack(request[: _HEADER.size])
        body, error = b"", 0
        if kind == _INIT:
            body = struct.pack("=IIIIHHIIHHI28x", 7, 31, 65536, 0, 12, 9, 65536, 1, 0, 0, 0)
        elif kind == _LOOKUP:
            body = struct.pack("=QQQQII", 2, 0, _FOREVER, _FOREVER, 0, 0) + _attributes(2)
        elif kind == _GETATTR:
            body = struct.pack("=QII", _FOREVER, 0, 0) + _attributes(node)
        elif kind == _OPEN:
            body = struct.pack("=QII", 1, 0, 0)
        elif kind == _FLUSH:
            closing.set()
            continue
        elif kind in _WITHOUT_ANSWER:
            continue
        else:
            error = _ENOSYS
        with suppress(OSError):  # whoever has asked is gone
            os.write(device, _ANSWER.pack(_ANSWER.size + len(body), -error, unique) + body)
