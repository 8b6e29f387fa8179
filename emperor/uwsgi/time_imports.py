"""Runs in the Python of an app before the app is imported, by uWSGI's option `import`, at a start
that follows a slow or failed one. It measures which imports take the time.

It writes into a piece of memory that it shares with the daemon: which modules are being imported
now, and how long each package has taken (emperor/uwsgi/slow_imports.py). It ends when the daemon,
at the first request, has taken the memory away.

emperord does not import this file. It must work in every Python that uWSGI is built with, and does
nothing in one before 3.8. If it fails, or cannot be read as in a chroot, uWSGI goes on without it.
It imports only what Python has loaded already: any other module would be looked for in the folder.
"""

import os
import sys
from _thread import get_ident
from time import monotonic

import uwsgi  # type: ignore[import-untyped]

MYPY = False  # typing is not loaded yet
if MYPY:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

_BOOTSTRAP = vars(sys.modules["_frozen_importlib"])
# Finds and executes a module that is not loaded yet.
_LOAD = "_find_and_load_unlocked"
# The first bytes have the modules that are being imported, and the rest the packages.
_OPEN_BYTES, _MOST_BYTES = 1024, 8192
_MOST_OPEN = 12
_MOST_PACKAGES = 12
# A shorter import changes little of what is told.
_WORTH_TELLING_SECONDS = 0.01


class Package:
    """The modules of a package, which have taken `seconds` without what they import of others."""

    def __init__(self, by: str) -> None:
        self.by = self.slowest_by = by
        self.seconds = self.slowest_seconds = 0.0
        self.modules = 0
        self.slowest = ""

    def add(self, module: str, seconds: float, by: str) -> None:
        """One of its modules, imported by another one, has taken so long."""
        self.modules += 1
        self.seconds += seconds
        if seconds >= self.slowest_seconds:
            self.slowest, self.slowest_seconds, self.slowest_by = module, seconds, by

    def told(self, name: str) -> "tuple[float, int, str, str]":
        """Milliseconds and number of modules, the name and who has imported that: of one module
        where that alone took more than half of the time."""
        if self.slowest_seconds > self.seconds / 2:
            return self.slowest_seconds * 1000, 1, self.slowest, self.slowest_by
        return self.seconds * 1000, self.modules, name, self.by


class Watch:
    """Notes the imports of one thread, which nest."""

    def __init__(self, fd: int, load: "Callable[[str, Any], ModuleType]") -> None:
        self._fd = fd
        self._is = os.fstat(fd)
        self._load = load
        self._begun = monotonic()
        # Of each module that is being imported: its name, when that began, and how many seconds of
        # it other modules took.
        self._open: list[tuple[str, float, list[float]]] = []
        self._packages: dict[str, Package] = {}
        self._total = 0.0

    def begin(self, module: str) -> None:
        """The import of a module begins."""
        module = module.replace("\n", " ").replace("\t", " ")
        package = module.partition(".")[0]
        if package not in self._packages:
            self._packages[package] = Package(self._open[-1][0] if self._open else "")
        self._open.append((module, monotonic(), []))
        self._tell_open()

    def end(self) -> None:
        """The import that began last has ended."""
        module, begun, of_others = self._open.pop()
        took = monotonic() - begun
        own = took - sum(of_others)
        if self._open:
            self._open[-1][2].append(took)
        else:
            self._total += took
        by = self._open[-1][0] if self._open else ""
        self._packages[module.partition(".")[0]].add(module, own, by)
        if own >= _WORTH_TELLING_SECONDS or not self._open:
            self.tell()

    def tell(self) -> None:
        """Write what is known by now."""
        longest = sorted(self._packages.items(), key=lambda item: -item[1].seconds)
        lines = [
            "{:.1f}\t{}\t{}\t{}".format(*each.told(name)) for name, each in longest[:_MOST_PACKAGES]
        ]
        head = f"{self._begun:.6f}\t{self._total * 1000:.1f}\t{own_file()}"
        self._tell_open()
        self._write("\n".join([head, *lines]), _OPEN_BYTES, _MOST_BYTES)

    def _tell_open(self) -> None:
        self._write("\n".join(name for name, _, _ in self._open[-_MOST_OPEN:]), 0, _OPEN_BYTES)

    def _write(self, text: str, begin: int, end: int) -> None:
        data = text.encode("utf-8", "backslashreplace")[: end - begin - 1]
        try:
            # The app may have closed it, and opened something else.
            if os.path.samestat(os.fstat(self._fd), self._is):
                try:
                    os.pwrite(self._fd, data + b"\0", begin)
                except OSError:  # the daemon has taken the memory away
                    os.close(self._fd)
                else:
                    return
        except OSError:
            pass
        self._fd = -1
        _BOOTSTRAP[_LOAD] = self._load


def own_file() -> str:
    """The file of the app, which uWSGI runs without an import; empty: it imports a module."""
    opt = uwsgi.opt
    return os.fsdecode(opt.get("file") or opt.get("wsgi-file") or b"").replace("\n", " ")


def measure(fd: int) -> None:
    """Measure the imports of this thread from here on."""
    os.set_inheritable(fd, False)
    load: Callable[[str, Any], ModuleType] = _BOOTSTRAP[_LOAD]
    watch = Watch(fd, load)
    own_thread = get_ident()

    def find_and_load(name: str, import_: "Any") -> "ModuleType":
        if get_ident() != own_thread or _BOOTSTRAP[_LOAD] is load:
            return load(name, import_)
        watch.begin(name)
        try:
            return load(name, import_)
        finally:
            watch.end()

    # Python leaves the frames of its own import out of tracebacks, and finds them by this name.
    code = find_and_load.__code__.replace(co_filename=load.__code__.co_filename)
    find_and_load.__code__ = code
    _BOOTSTRAP[_LOAD] = find_and_load
    watch.tell()


if "EMPERORD_IMPORTS_FD" in os.environ:
    number = int(os.environ.pop("EMPERORD_IMPORTS_FD"))
    # With lazy-apps each worker imports the app.
    if uwsgi.worker_id() <= 1 and sys.version_info >= (3, 8):
        measure(number)
    else:
        os.close(number)
