"""Descriptors that somebody else has sent us, and that we have no use for."""

import os
from threading import Thread


def discard(fd: int) -> None:
    """Close it, without waiting for that: a socket may linger for its peer as long as its sender
    said, or be in the queue of another one, and a file system may take its time."""
    Thread(target=os.close, args=(fd,), name="discard", daemon=True).start()
