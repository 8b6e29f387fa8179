"""Checks the kind of a descriptor that an earlier process has left."""

import os
import signal
import stat

from emperor.model.snapshot import FdKind


def is_of_kind(fd: int, kind: FdKind) -> bool:
    """Whether the descriptor is of that kind."""
    return _is_pidfd(fd) if kind is FdKind.PIDFD else stat.S_ISSOCK(os.fstat(fd).st_mode)


def _is_pidfd(fd: int) -> bool:
    try:
        signal.pidfd_send_signal(fd, 0)
    except (ProcessLookupError, PermissionError):
        return True
    except OSError:
        return False
    return True
