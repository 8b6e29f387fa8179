"""Byte-compiles the sources below some folders, as Python would at their import.

This is a program of its own, in the manner of `compileall`. emperord runs its text by a Python of
the app's version, as the user of the app or the owner of its code, when the machine has nothing
else to do. It must work in every Python 3.6 or later.

Its argument is JSON, `CompileRequest` of emperor/uwsgi/byte_code.py. It prints a line of JSON,
`CompileOutcome` there. Its folders may be hostile: it reads regular files only and up to a size,
follows no link to a folder, and stops at its bounds. A file that is up to date costs two calls of
stat(2).
"""

import errno
import importlib.util
import json
import marshal
import os
import resource
import signal
import stat
import sys
import time
import warnings
from contextlib import suppress

MYPY = False  # typing takes 10 ms
if MYPY:
    from collections.abc import Iterator
    from types import CodeType
    from typing import Any

_MARK = "pyvenv.cfg"
# A folder with this name has no modules that an app imports.
_FOREIGN = ("__pycache__", "node_modules")
_HEADER = 16 if sys.version_info >= (3, 7) else 12
_DEEPEST = 40
_LEFT_BYTES = 64 << 20
_MEMORY_BYTES = 1 << 30
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_WORLD = stat.S_IWOTH | stat.S_IWGRP


class Full(Exception):
    """A bound is reached. The message names it."""


class Compiler:
    """Compiles file after file, up to the bounds that were asked for."""

    def __init__(self, request: "dict[str, Any]") -> None:
        self.request = request
        self.owner: int | None = request["owner"]
        self.compiled = self.current = self.broken = self.files = self.bytes = self.entries = 0
        self.others: set[int] = set()
        self.seen: set[tuple[int, int]] = set()

    def tree(self, folder: str, depth: int = 0) -> None:
        """Compile what is in the folder, then what is below it. Raises Full."""
        info = os.stat(folder)
        key = (info.st_dev, info.st_ino)
        if not self.is_trusted(info):
            self.others.add(info.st_uid)
            return
        if key in self.seen or depth > _DEEPEST:
            return
        self.seen.add(key)
        below = []
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                self.entries += 1
                self.check()
                if entry.name == _MARK and depth:
                    return  # a virtual environment of its own
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _FOREIGN and not entry.name.startswith("."):
                        below.append(entry.name)
                elif entry.name.endswith(".py"):
                    names.append(entry.name)
        if names:
            self.modules(folder, info, sorted(names))
        for name in sorted(below):
            try:
                self.tree(folder + "/" + name, depth + 1)
            except OSError:
                continue

    def is_trusted(self, info: os.stat_result) -> bool:
        """Whether nobody but the owner can change a folder or file, where that was asked for."""
        return self.owner is None or (info.st_uid == self.owner and not is_open(info))

    def modules(self, folder: str, info: os.stat_result, names: "list[str]") -> None:
        """Compile the files of a folder. Raises Full."""
        for name in names:
            self.files += 1
            self.check()
            source = folder + "/" + name
            try:
                target = self.target(source)
                before = os.stat(source)
                if not stat.S_ISREG(before.st_mode) or before.st_size > self.request["largest"]:
                    continue
                if is_current(target, before):
                    self.current += 1
                    continue
                if not self.can_write(target):
                    self.others.add(info.st_uid)
                    continue
                self.module(source, target)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise Full(f"there is no room in {folder}") from error
                self.broken += 1

    def target(self, source: str) -> str:
        """Where Python looks for the byte code of that source."""
        level = self.request["optimize"]
        return importlib.util.cache_from_source(source, optimization=level or "")

    def can_write(self, target: str) -> bool:
        """Whether a file can be made there. The folder is made."""
        folder = os.path.dirname(target)
        try:
            os.makedirs(folder)
        except FileExistsError:
            info = os.lstat(folder)
            if not stat.S_ISDIR(info.st_mode) or not self.is_trusted(info):
                return False
        except OSError as error:
            if error.errno not in _FORBIDDEN:
                raise
            return False
        return os.access(folder, os.W_OK | os.X_OK)

    def module(self, source: str, target: str) -> None:
        """Compile one file. Raises OSError."""
        # Neither a pipe nor a terminal holds this up.
        fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or not self.is_trusted(info):
                return
            data = file.read(self.request["largest"] + 1)
        self.bytes += len(data)
        try:
            code = compile(data, source, "exec", 0, True, self.request["optimize"])
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            self.broken += 1
            return
        if len(data) == info.st_size:
            write(target, code, info)
            self.compiled += 1

    def check(self) -> None:
        """Raises Full if a bound is reached."""
        if (
            self.files > self.request["most_files"]
            or self.entries > 10 * self.request["most_files"]
        ):
            raise Full("there are more than {} files".format(self.request["most_files"]))
        if self.bytes > self.request["most_bytes"]:
            raise Full("there are more than {} MB".format(self.request["most_bytes"] >> 20))
        if time.process_time() > self.request["seconds"]:
            raise Full("it took more than {:g} s of the CPU".format(self.request["seconds"]))


def is_open(info: os.stat_result) -> bool:
    """Whether others than the owner may write."""
    return bool(info.st_mode & _WORLD) and not (
        info.st_mode & _WORLD == stat.S_IWGRP and info.st_gid == 0
    )


def is_current(target: str, source: os.stat_result) -> bool:
    """Whether the byte code at `target` is that of this version of the source."""
    try:
        info = os.lstat(target)
    except OSError:
        return False
    if not stat.S_ISREG(info.st_mode) or not info.st_size:
        return not stat.S_ISREG(info.st_mode)
    # The status of the source has not changed since, so the file has not either.
    if info.st_mtime_ns > max(source.st_mtime_ns, source.st_ctime_ns):
        return True
    fd = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        head = file.read(_HEADER)
    is_by_hash = _HEADER == 16 and head[4:8] != bytes(4)
    return head == header(source) or (is_by_hash and head[:4] == importlib.util.MAGIC_NUMBER)


def header(source: os.stat_result) -> bytes:
    """What byte code begins with that is valid for this version of a source."""
    numbers = [int(each) & 0xFFFFFFFF for each in (source.st_mtime, source.st_size)]
    words = b"".join(number.to_bytes(4, "little") for number in numbers)
    return importlib.util.MAGIC_NUMBER + bytes(_HEADER - 12) + words


def write(target: str, code: "CodeType", source: os.stat_result) -> None:
    """Write the byte code in one step. The program is not killed meanwhile, which would leave a
    file behind. Raises OSError."""
    draft = f"{target}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        try:
            with open(os.open(draft, flags, source.st_mode & 0o666), "wb") as file:
                file.write(header(source) + marshal.dumps(code))
            os.replace(draft, target)
        except OSError:
            with suppress(OSError):
                os.unlink(draft)
            raise
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def limit_resources() -> None:
    """Run when nothing else wants the CPU, and with little memory."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")


def places(folders: "list[str]", owner: "int | None") -> "Iterator[str]":
    """The folders there are, without links where only `owner` may be able to change them."""
    for folder in folders:
        place = os.path.realpath(folder) if owner is not None else folder
        parent = os.path.dirname(place)
        while owner is not None and parent != "/":
            info = os.stat(parent)
            is_sticky = info.st_mode & stat.S_ISVTX
            if info.st_uid not in (0, owner) or (is_open(info) and not is_sticky):
                break
            parent = os.path.dirname(parent)
        else:
            yield place


def main() -> None:
    """The program."""
    request = json.loads(sys.argv[1])
    if list(sys.version_info[:2]) != request["version"]:
        return
    limit_resources()
    sys.pycache_prefix = request["prefix"] or None
    compiler = Compiler(request)
    stopped = ""
    for folder in request["folders"]:
        try:
            for place in places([folder], request["owner"]):
                free = os.statvfs(place)
                if free.f_bavail * free.f_frsize < _LEFT_BYTES:
                    raise Full(f"there is no room in {place}")
                compiler.tree(place)
        except OSError:
            continue
        except Full as full:
            stopped = str(full)
            break
    told = {name: getattr(compiler, name) for name in ("compiled", "current", "broken")}
    print(json.dumps(dict(told, stopped=stopped, others=sorted(compiler.others))))


if __name__ == "__main__":
    main()
