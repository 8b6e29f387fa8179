"""Counts, in a process that tries imports, what cannot be seen afterwards: that a module has asked
for what is another thing in each process."""

import os
import random
import ssl
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

# Events of sys.addaudithook(3) that a module may raise for a file of its own alone.
_OF_FILES = frozenset({"open", "os.mkdir", "os.remove", "os.rename", "tempfile.mkdtemp",
                       "tempfile.mkstemp", "sqlite3.connect"})  # fmt: skip
_OF_NETWORK = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo"})
_DRAWS, _PID = "draws random numbers", "asks for its pid"
_FOLDER, _COMMAND = "asks for its folder", "asks for its command"
_AT_FORK, _AUDITS = "has something done at a fork", "adds an audit hook"
_FILES, _NETWORK = "reads or writes other files", "uses the network"
# The functions of modules that tell what is another thing in each process.
_TELLING: tuple[tuple[str, ModuleType, tuple[str, ...]], ...] = (
    (_DRAWS, os, ("urandom", "getrandom")),
    (_DRAWS, random, ("_urandom",)),
    (_DRAWS, ssl, ("RAND_bytes", "RAND_pseudo_bytes")),
    (_DRAWS, uuid, ("uuid1",)),
    (_PID, os, ("getpid", "getppid", "getpgrp", "getpgid", "getsid")),
    (_PID, threading, ("get_native_id",)),
    (_FOLDER, os, ("getcwd", "getcwdb")),
    (_AT_FORK, os, ("register_at_fork",)),
)
# What any Python reads, too.
_OF_THE_SYSTEM = ("/usr/", "/proc/", "/sys/devices/system/cpu", "/dev/null", "/etc/localtime",
                  "/etc/mime.types")  # fmt: skip


def counted_calls() -> dict[str, int]:
    """How often each of it was done, from now on. Only a process that ends soon may ask."""
    counts = dict.fromkeys(
        (_DRAWS, _PID, _FILES, _NETWORK, _FOLDER, _COMMAND, _AT_FORK, _AUDITS), 0
    )

    def counted(what: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            counts[what] += 1
            return original(*arguments, **named)

        return call

    def count_reader() -> None:
        counts[_COMMAND] += 1

    for what, module, names in _TELLING:
        for name in names:
            if name in vars(module):
                vars(module)[name] = counted(what, vars(module)[name])
    _count_seeds(lambda: counts.update({_DRAWS: counts[_DRAWS] + 1}))
    sys.argv, sys.orig_argv = (Words(each, count_reader) for each in (sys.argv, sys.orig_argv))
    _count_events(counts)
    return counts


def _count_seeds(count: Callable[[], object]) -> None:
    """A generator without a seed of its own draws one."""
    seed = random.Random.seed

    def seeded(self: random.Random, a: Any = None, version: int = 2) -> None:
        if a is None:
            count()
        seed(self, a, version)

    random.Random.seed = seeded  # type: ignore[method-assign]


def _count_events(counts: dict[str, int]) -> None:
    own = (*_OF_THE_SYSTEM, sys.prefix, sys.base_prefix, *filter(None, sys.path))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _OF_FILES and not str(arguments[0]).startswith(own):
            counts[_FILES] += isinstance(arguments[0], str)
        elif event in _OF_NETWORK:
            counts[_NETWORK] += 1
        elif event == "sys.addaudithook":
            counts[_AUDITS] += 1

    sys.addaudithook(hook)


class Words(list[str]):
    """A command, which tells of each reader."""

    def __init__(self, words: Iterable[str], on_read: Callable[[], object]) -> None:
        super().__init__(words)
        self._on_read = on_read

    def __getitem__(self, index: Any) -> Any:
        self._on_read()
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[str]:
        self._on_read()
        return super().__iter__()

    def __len__(self) -> int:
        self._on_read()
        return super().__len__()

    def __contains__(self, word: object) -> bool:
        self._on_read()
        return super().__contains__(word)
