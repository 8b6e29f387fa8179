"""Notices what an import does to the process beside making modules."""

import builtins
import gc
import http.client
import json
import json.decoder
import json.encoder
import locale
import logging
import os
import queue
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Collection, Mapping

# What a module does, in words, each with a value that is another one afterwards.
State = Mapping[str, object]

# Modules whose classes others change.
_OFTEN_CHANGED = (
    json,
    json.encoder,
    json.decoder,
    http.client,
    queue,
    socket,
    ssl,
    subprocess,
    threading,
)
_FILTERS = "changes the filters of warnings"
_folder_of_process = os.getcwd


class Effects:
    """The effects of imports in this process. `calls` are those that it counts."""

    def __init__(self, calls: Mapping[str, int] | None = None) -> None:
        self._calls = calls or {}
        self._classes: dict[str, int] = {}
        self._replaced = 0

    def state(self) -> State:
        """What an import may change, and the present value of each."""
        hooks = (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook)
        streams = (sys.stdin, sys.stdout, sys.stderr)
        return {
            "starts a thread": len(os.listdir("/proc/self/task")),
            "starts a process": _has_children(),
            "opens a file or a socket": len(os.listdir("/proc/self/fd")),
            "changes the environment": dict(os.environ),
            "handles signals": [signal.getsignal(number) for number in signal.valid_signals()],
            "changes how modules are found": (
                [*sys.path], [*map(id, sys.meta_path)], [*map(id, sys.path_hooks)],
            ),
            "changes what is built in": {
                name: id(value) for name, value in vars(builtins).items() if name != "_"
            },
            "changes the folder": _folder_of_process(),
            "changes the umask": _umask(),
            "changes the locale": locale.setlocale(locale.LC_ALL),
            "changes the hooks or streams of Python": [*map(id, (*hooks, *streams))],
            "changes the limits of Python": (
                sys.getrecursionlimit(), sys.getswitchinterval(), socket.getdefaulttimeout(),
                gc.isenabled(), gc.get_threshold(), len(gc.callbacks),
            ),
            _FILTERS: tuple(map(id, warnings.filters)),
            "changes the log of all": (
                logging.root.level, [*map(id, logging.root.handlers)], logging.root.manager.disable,
            ),
            "changes other modules": self._replaced_attributes(),
            "draws from the module random": random.getstate(),
            **self._calls,
        }  # fmt: skip

    def since(self, before: State, but: Collection[str] = ()) -> str:
        """What was done since then, in words; empty for nothing."""
        now = {**self.state()}
        # One before or after all others is no change: each app gets it with its module.
        if _adds_filters_alone(before[_FILTERS], now[_FILTERS]):
            now[_FILTERS] = before[_FILTERS]
        return next((what for what in now if now[what] != before.get(what) and what not in but), "")

    def _replaced_attributes(self) -> int:
        """How often an attribute of a class was replaced, in modules that many change."""
        for module in _OFTEN_CHANGED:
            for name, value in vars(module).items():
                if isinstance(value, type):
                    now = hash(tuple(map(id, vars(value).values())))
                    key = f"{module.__name__}.{name}"
                    self._replaced += self._classes.get(key, now) != now
                    self._classes[key] = now
        return self._replaced


def _adds_filters_alone(before: object, now: object) -> bool:
    assert isinstance(before, tuple) and isinstance(now, tuple)
    places = range(len(now) - len(before) + 1)
    return any(now[place : place + len(before)] == before for place in places)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True
