"""A process that can start no thread, as at the limit on processes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# More than the address space of a process.
_STACK_BYTES = 1 << 47


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Let no thread start meanwhile: the kernel has no room for its stack."""
    before = threading.stack_size(_STACK_BYTES)
    try:
        yield
    finally:
        threading.stack_size(before)
