"""Has the kernel copy or map the pages that an app will use, in a spare that has no order yet."""

import ctypes
import resource
import select
import socket
import struct

from emperor.bases.inside.host import LIBC

# The first page, how many, and whether they are to be copied (emperor/linux/used_pages.py).
_RUN = struct.Struct("=QII")
_MADV_POPULATE_READ, _MADV_POPULATE_WRITE = 22, 23
# Apps that start now come first.
_CALM_MS = 500
_AT_ONCE = 16


def fault_in(runs: bytes, channel: socket.socket) -> None:
    """Map these pages, until an order comes."""
    if not runs:
        return
    order = select.poll()
    order.register(channel, select.POLLIN)
    if order.poll(_CALM_MS):
        return
    size = resource.getpagesize()
    for number, (first, count, is_written) in enumerate(_RUN.iter_unpack(runs)):
        if number % _AT_ONCE == 0 and order.poll(0):
            return
        advice = _MADV_POPULATE_WRITE if is_written else _MADV_POPULATE_READ
        # What cannot be mapped is mapped when it is used, as without this.
        LIBC.madvise(ctypes.c_void_p(first * size), ctypes.c_size_t(count * size), advice)
