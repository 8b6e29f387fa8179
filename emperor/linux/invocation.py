"""How this process was started, so that it can be started again in its own place."""

import os
import resource
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Invocation:
    """How this process was started. `command` begins with the absolute path of a program; `folder`
    is where it was given, and `open_files` the soft and hard limits that were (RLIMIT_NOFILE)."""

    command: tuple[str, ...]
    folder: str
    open_files: tuple[int, int]

    @classmethod
    def of_this_process(cls) -> "Invocation":
        """The invocation of this process. Call it before folder or limits change."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(_command(sys.orig_argv, sys.argv[0]), os.getcwd(), limits)


def _command(interpreted: list[str], script: str) -> tuple[str, ...]:
    """The script itself where it is executable, since its first line may name another interpreter
    after an upgrade; otherwise this interpreter with the same arguments."""
    path = os.path.abspath(script)
    if script in interpreted and os.access(path, os.X_OK) and os.path.isfile(path):
        return (path, *interpreted[interpreted.index(script) + 1 :])
    return (sys.executable, *interpreted[1:])
