"""Watches the apps' logs: bounds their size, so that no app fills the disk between two rotations,
and tells which were written to, and in which an app has reserved space."""

import logging
import os
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from inotify_simple import INotify, flags, parse_events

from emperor.guarded import guarded
from emperor.linux.append_only import changeable
from emperor.linux.log_owner import close_to_its_app
from emperor.linux.watch import cannot_watch
from emperor.model.admission import Bursts
from emperor.model.log_fields import about

log = logging.getLogger("emperord.log_bound")

# An app that writes without end would wake the daemon each time.
PAUSE_SECONDS = 1.0
# More than the queue of events in the kernel has, by default.
_BYTES_AT_ONCE = 1 << 20
MOST_KEPT = 1 << 20
# What is written one after the other has no gaps.
_MOST_PARTS = 1000
# A file system may allocate more than an app writes: xfs as much again.
_MOST_FOR_EACH_BYTE = 4
SUFFIX = ".log"


class LogBound:
    """Cuts each log in a folder that takes more than `limit` bytes of the disk, until `close`; 0:
    none. It looks at logs that were written to, at most once a second, and rests otherwise. It
    calls each of `on_written` with the domain of each of them, and `on_reserved` with that of an
    app that has taken the space without writing (fallocate(2)), whose later processes get no log
    for a while."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        loop: AbstractEventLoop,
        *on_written: Callable[[str], None],
        on_reserved: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._limit = limit
        self._loop = loop
        self._on_written = on_written
        self._on_reserved = on_reserved
        self._bursts = Bursts()
        self._timer: TimerHandle | None = None
        self._cutting: set[str] = set()
        self._inotify: INotify | None = None
        if limit or on_written:
            self._watch()

    def close(self) -> None:
        """Stop watching."""
        if self._timer:
            self._timer.cancel()
        if self._inotify:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None

    def _watch(self) -> None:
        inotify = None
        try:
            inotify = INotify(nonblocking=True)
            inotify.add_watch(self._folder, flags.MODIFY | flags.ONLYDIR)
        except OSError as error:
            told = cannot_watch(self._folder, error)
            log.error(
                "%s; the logs there may grow until logrotate runs, no tenant can follow one, and an"
                " app whose workers die at each start fails only at its start-timeout", told,
            )  # fmt: skip
            if inotify:
                inotify.close()
            return
        self._inotify = inotify
        self._listen(inotify)
        if self._limit:
            # Logs may have grown while no daemon ran.
            self._loop.run_in_executor(None, self._check_all)

    def _listen(self, inotify: INotify) -> None:
        self._loop.add_reader(inotify.fileno(), self._read, inotify)

    def _read(self, inotify: INotify) -> None:
        self._loop.remove_reader(inotify.fileno())
        self._timer = self._loop.call_later(PAUSE_SECONDS, self._listen, inotify)
        events = parse_events(os.read(inotify.fileno(), _BYTES_AT_ONCE))
        names = {event.name for event in events}
        if any(event.mask & flags.Q_OVERFLOW for event in events):
            names = set(os.listdir(self._folder))
        for name in names:
            if name.endswith(SUFFIX):
                domain = name.removesuffix(SUFFIX)
                for tell in self._on_written:
                    with guarded(log, f"tell that the log of {domain} was written to"):
                        tell(domain)
        if self._limit:
            self._check(names)

    def _check_all(self) -> None:
        """Find the logs that are too large, in a thread, since there may be thousands of logs."""
        try:
            large = [name for name in os.listdir(self._folder) if self._is_large(name)]
        except OSError as error:
            log.warning("cannot look at the logs in %s: %s", self._folder, error.strerror)
            return
        if large:
            self._loop.call_soon_threadsafe(self._check, large)

    def _check(self, names: Collection[str]) -> None:
        """Cut those logs among `names` that are too large."""
        for name in names:
            if name.endswith(SUFFIX) and name not in self._cutting and self._is_large(name):
                self._cutting.add(name)
                is_misused = self._end_misuse(name)
                try:
                    self._loop.run_in_executor(None, self._cut, name, is_misused)
                except RuntimeError:  # there is no room for a thread
                    self._loop.call_later(PAUSE_SECONDS, self._look_again, name)
                    continue
                self._tell(name.removesuffix(SUFFIX))

    def _is_large(self, name: str) -> bool:
        try:
            return used(os.stat(self._folder / name)) > self._limit
        except FileNotFoundError:
            return False

    def _end_misuse(self, name: str) -> bool:
        """Whether an app has reserved space. It could do so again as soon as its log is cut."""
        path = self._folder / name
        try:
            if not is_reserved(path):
                return False
        except OSError as error:
            log.error("cannot look at %s: %s", path, error.strerror)
            return False
        close_to_its_app(path)
        domain = name.removesuffix(SUFFIX)
        with guarded(log, f"end {domain}, which has reserved space"):
            self._on_reserved(domain)
        return True

    def _cut(self, name: str, is_misused: bool) -> None:
        """Cut a log, in a thread, since the end of a large file takes the file system long."""
        path = self._folder / name
        try:
            cut(path, min(self._limit // 4, MOST_KEPT))
            if is_misused:
                # Before, the disk may have had no room for the mark.
                close_to_its_app(path)
        except OSError as error:
            log.error("cannot cut %s: %s", path, error.strerror)
        self._loop.call_soon_threadsafe(
            self._loop.call_later, PAUSE_SECONDS, self._look_again, name
        )

    def _look_again(self, name: str) -> None:
        """Look at what the app has written since the cut began."""
        self._cutting.discard(name)
        if self._inotify:
            self._check((name,))

    def _tell(self, domain: str) -> None:
        if self._bursts.begins(domain, self._loop.time()):
            log.warning(
                "%s: its log had more than %d bytes (log-max-size) and was cut to its end",
                domain, self._limit, extra=about(domain),
            )  # fmt: skip


def used(info: os.stat_result) -> int:
    """The bytes that a file takes, also those that an app has reserved beyond its end."""
    return max(info.st_size, info.st_blocks * 512)


def is_reserved(path: Path) -> bool:
    """Whether most of what a log takes of the disk was never written. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        taken = os.fstat(descriptor).st_blocks * 512
        return _written(descriptor) * _MOST_FOR_EACH_BYTE < taken
    finally:
        os.close(descriptor)


def _written(descriptor: int) -> int:
    """The bytes of a file outside of its gaps; with too many of these, those before."""
    total = end = 0
    with suppress(OSError):  # there is no more
        for _ in range(_MOST_PARTS):
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, begin, os.SEEK_HOLE)
            total += end - begin
    return total


def cut(path: Path, keep: int) -> None:
    """Leave the last `keep` bytes of a log, from the beginning of a line. What an app writes in the
    moment between is lost. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        end = os.pread(descriptor, keep, max(0, size - keep))
        # An app that writes at a place of its own leaves a hole before it.
        lines = end.partition(b"\n")[2].lstrip(b"\0")
        with changeable(descriptor):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"--- emperord has cut this log (log-max-size) ---\n" + lines)
    finally:
        os.close(descriptor)
