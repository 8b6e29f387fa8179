"""Gives memory back to the kernel that was freed, and that the C library keeps for later."""

import ctypes


def trim_heap() -> None:
    """Give back whole pages, wherever in the heap they are (malloc_trim(3)). Where the C library is
    not glibc, this does nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
