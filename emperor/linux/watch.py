"""Watches the vassals folder by inotify, and decides which names should be read now.

The kernel reports each step of a write. A name is ripe when its file is complete: an ini that is
read in between would start an app with half of its options.
"""

import errno
import logging
import os
import stat
import time
from asyncio import AbstractEventLoop, Handle, TimerHandle
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct

from inotify_simple import Event, INotify, flags, parse_events

from emperor.model.allowance import Allowance, Pace

log = logging.getLogger("emperord.watch")

# Some thousand events, which take a few milliseconds. All that the kernel queues is eight times as
# much (fs.inotify.max_queued_events).
_BYTES_AT_ONCE = 1 << 16
_READS_AT_ONCE = 8
# A tenant can change an ini all the time, and the inis of others must not wait for that. A longer
# wait than this would fill the kernel's queue, and the changes of others would be lost.
PACE = Pace(share=0.1, most_seconds=0.025)
# The kernel drops events then, and all inis have to be looked at.
_OVERFLOWS = 2, 0.2
# struct inotify_event: wd, mask, cookie, and the length of the name that follows.
_HEAD_BYTES = 16
_NAME_LENGTH = Struct("I")
# For what inotify cannot see: another target of a link, a write by mmap, an ancestor that moved.
RESCAN_SECONDS = 60.0

_COMPLETE = flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE
_FOLDER_MASK = (
    _COMPLETE | flags.MODIFY | flags.ATTRIB | flags.CREATE | flags.DELETE_SELF | flags.MOVE_SELF
)
_ENTRIES = flags.CREATE | flags.MOVED_TO | flags.DELETE | flags.MOVED_FROM
_PARENT_MASK = _ENTRIES | flags.DELETE_SELF | flags.MOVE_SELF
_WATCH_IS_LOST = flags.DELETE_SELF | flags.MOVE_SELF | flags.IGNORED | flags.UNMOUNT


@dataclass(frozen=True, slots=True)
class Changes:
    """The names to read, or everything where the changes are unknown. In that case the path may
    lead to another folder than before, and a working directory there may be stale.

    A name is what os.fsdecode makes of it, whatever bytes are in it.
    """

    names: frozenset[str] = frozenset()
    everything: bool = False


@dataclass(slots=True)
class Ripening:
    """Decides which names are ripe. `being_written` are the names of files open for writing."""

    being_written: set[str] = field(default_factory=set)

    def is_ripe(self, name: str, mask: int, is_link: Callable[[str], bool]) -> bool:
        """Whether `name` should be read after an event with this inotify mask. `is_link(name)`
        tells a new link, symbolic or hard, from a new file, which is still empty."""
        if mask & _COMPLETE:
            self.being_written.discard(name)
            return True
        if mask & flags.CREATE and is_link(name):
            return True
        if mask & (flags.CREATE | flags.MODIFY):
            self.being_written.add(name)
            return False
        # ATTRIB: touch(1), chown(1); or install(1), which sets the mode before it closes the file.
        return bool(mask & flags.ATTRIB) and name not in self.being_written


class FolderWatch:
    """Calls `on_change` with Changes, from its construction to `close`. Where the folder is
    missing, it waits for it and then reports everything. At rest it wakes up once a minute.

    A rescan may meet a file that is being written; its completion is then reported by name. Where
    the kernel has no watch left, the log says so, and only rescans find changes until it has one.
    """

    def __init__(
        self,
        folder: Path,
        loop: AbstractEventLoop,
        on_change: Callable[[Changes], None],
        rescan_seconds: float = RESCAN_SECONDS,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._folder = folder
        self._loop = loop
        self._on_change = on_change
        self._rescan_seconds = rescan_seconds
        self._cpu = cpu
        self._ripening = Ripening()
        self._watch: int | None = None
        # The kernel reports the removal of a folder only when no process has it as its working
        # directory, and every vassal has this one. The watch on its parent reports it at once.
        self._parent_watch: int | None = None
        # Device and inode of the folder that is watched; None while that is an ancestor of it.
        self._identity: tuple[int, int] | None = None
        self._inotify: INotify | None = None
        self._overflows = Allowance(*_OVERFLOWS)
        self._pause: Handle | None = None
        self._scan: TimerHandle | None = None
        self._problem = ""
        self._seek_again()
        self._timer = loop.call_later(rescan_seconds, self._rescan)

    def close(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        for pending in filter(None, (self._pause, self._scan)):
            pending.cancel()
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()

    def _read(self, inotify: INotify) -> None:
        """Tell what has changed. What others do because of that, in this turn of the loop or in the
        next one, counts as a part of this look."""
        began = self._cpu()
        self._loop.remove_reader(inotify.fileno())
        try:
            self._tell_changes(inotify)
        finally:
            self._pause = self._loop.call_soon(self._rest, inotify, began)

    def _rest(self, inotify: INotify, began: float) -> None:
        wait = PACE.rest(self._cpu() - began)
        self._pause = self._loop.call_later(wait, self._listen, inotify)

    def _tell_changes(self, inotify: INotify) -> None:
        names: set[str] = set()
        everything = lost = False
        for event in _events(inotify):
            if event.mask & flags.Q_OVERFLOW:
                everything |= self._may_scan()
                self._ripening.being_written.clear()
            elif event.wd == self._parent_watch and self._identity is not None:
                lost |= event.name == self._folder.name or bool(event.mask & _WATCH_IS_LOST)
            elif event.wd != self._watch:
                continue  # of a watch that was given up
            elif self._identity is None or event.mask & _WATCH_IS_LOST:
                lost = True
            elif not event.name and event.mask & flags.ATTRIB:
                everything = True  # another owner or mode of the folder itself
            elif not event.mask & flags.ISDIR and self._ripening.is_ripe(
                event.name, event.mask, self._is_link
            ):
                names.add(event.name)
        if lost:
            everything |= self._seek_again()
        if everything:
            self._on_change(Changes(everything=True))
        elif names:
            self._on_change(Changes(frozenset(names)))

    def _listen(self, inotify: INotify) -> None:
        self._loop.add_reader(inotify.fileno(), self._read, inotify)

    def _may_scan(self) -> bool:
        """Whether all is to be read now, since events were lost; if not, it is a little later."""
        if self._scan is not None:
            return False
        if wait := self._overflows.take(self._loop.time()):
            self._scan = self._loop.call_later(wait, self._scan_late)
        return True

    def _scan_late(self) -> None:
        """Read what has changed since the last scan for lost events, whether or not some were."""
        self._scan = None
        self._on_change(Changes(everything=True))

    def _rescan(self) -> None:
        self._timer = self._loop.call_later(self._rescan_seconds, self._rescan)
        unmoved = self._identity is not None and self._identity == self._identify()
        if unmoved or self._seek_again() or self._identify() is not None:
            self._on_change(Changes(everything=True))

    def _is_link(self, name: str) -> bool:
        try:
            info = os.lstat(self._folder / name)
        except OSError:
            return False
        return stat.S_ISLNK(info.st_mode) or info.st_nlink > 1

    def _identify(self) -> tuple[int, int] | None:
        try:
            info = os.stat(self._folder)
        except OSError:
            return None
        return info.st_dev, info.st_ino

    def _seek_again(self) -> bool:
        """Whether the folder is there and watched."""
        was_watched, problem = self._identity is not None, ""
        try:
            self._seek()
        except OSError as error:
            problem = str(error)
        if problem not in ("", self._problem):
            log.error("%s; what changes in it is noticed once a minute", problem)
        self._problem = problem
        if was_watched and self._identify() is None:
            log.warning("%s is gone: its vassals are served on until it is back", self._folder)
        return self._identity is not None

    def _seek(self) -> None:
        """Watch the folder or, while there is none, its nearest ancestor. Raises OSError."""
        self._identity = None
        self._ripening.being_written.clear()
        inotify, found = self._opened(), None
        # The second search finds what changed before the watches were set.
        while (nearest := self._watch_nearest(inotify)) != found:
            found = nearest
        if nearest == self._folder:
            # Changes in the folder are reported whether or not its own removal can be watched too.
            self._identity = self._identify()
            with suppress(FileNotFoundError):
                self._parent_watch = _add_watch(inotify, self._folder.parent, _PARENT_MASK)

    def _opened(self) -> INotify:
        if self._inotify is None:
            try:
                self._inotify = INotify(nonblocking=True)
            except OSError as error:
                raise cannot_watch(self._folder, error) from error
            self._listen(self._inotify)
        return self._inotify

    def _watch_nearest(self, inotify: INotify) -> Path:
        for path in (self._folder, *self._folder.parents):
            mask = _FOLDER_MASK if path == self._folder else _PARENT_MASK
            try:
                watch = _add_watch(inotify, path, mask)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if self._watch not in (None, watch):
                with suppress(OSError):  # the kernel has dropped it with its folder
                    inotify.rm_watch(self._watch)
            self._watch = watch
            return path
        raise FileNotFoundError(f"cannot watch {self._folder}: not even / is there")


def _events(inotify: INotify) -> list[Event]:
    """All events, without those that come again later. A storm has the same few thousands of
    times, and to parse an event takes longer than to compare it."""
    last: dict[bytes, None] = {}
    with suppress(BlockingIOError):
        for _ in range(_READS_AT_ONCE):
            data = os.read(inotify.fileno(), _BYTES_AT_ONCE)
            for event in _records(data):
                last.pop(event, None)
                last[event] = None
            if len(data) < _BYTES_AT_ONCE // 2:
                break
    events: list[Event] = parse_events(b"".join(last))
    return events


def _records(data: bytes) -> Iterator[bytes]:
    """The events of inotify(7), each as it was read."""
    begin = 0
    while begin < len(data):
        (length,) = _NAME_LENGTH.unpack_from(data, begin + _HEAD_BYTES - _NAME_LENGTH.size)
        end = begin + _HEAD_BYTES + length
        yield data[begin:end]
        begin = end


def _add_watch(inotify: INotify, path: Path, mask: int) -> int:
    try:
        watch: int = inotify.add_watch(path, mask | flags.ONLYDIR)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise cannot_watch(path, error) from error
    return watch


def cannot_watch(path: Path, error: OSError) -> OSError:
    """The error of a watch of inotify, with path and cure."""
    limits = {errno.EMFILE: "max_user_instances", errno.ENOSPC: "max_user_watches"}
    limit = limits.get(error.errno or 0)
    cure = f" (is fs.inotify.{limit} used up? sysctl(8) raises it)" if limit else ""
    return OSError(f"cannot watch {path}: {error.strerror}{cure}")
