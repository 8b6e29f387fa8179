"""What the kernel allows this process."""

import resource
import sys

from emperor.model.descriptors import Descriptors


def descriptors() -> Descriptors:
    """By the limit on open files that holds now, getrlimit(2)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Descriptors(sys.maxsize if soft == resource.RLIM_INFINITY else soft)
