"""The fd bag: state and descriptors for the next process, kept in a queue of the kernel.

It is a log. Each message on a SOCK_SEQPACKET socketpair holds entries, with their descriptors as
SCM_RIGHTS, and the newest entry of a key counts. The process that inherits the two ends reads all
of it with MSG_PEEK, which takes nothing out: a daemon that dies while it recovers has lost nothing.
systemd's FDSTORE alone is quadratic and holds no state (10,000 descriptors take 25 s there, 10 ms
here).

The log is kept short: entries that still count in its oldest messages are written once more at the
back, and only then the old messages are taken out. The log reads the same after every step.
"""

import errno
import fcntl
import itertools
import logging
import os
import socket
import sys
import termios
from array import array
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import msgspec

from emperor.model.ports import CannotKeep, StoreEntry

log = logging.getLogger("emperord.bag")

_KIND = (socket.AF_UNIX, socket.SOCK_SEQPACKET)
# asm-generic/socket.h; Python's socket module does not have them.
_SO_SNDBUFFORCE = 32
_SO_PEEK_OFF = 42

# An upper limit that takes no memory until it is used: 100,000 vassals take some 90 MB.
_CAPACITY_BYTES = 128 << 20
_MOST_OF_CAPACITY = 0.7
_LONGEST_BYTES = 1 << 20
# SCM_MAX_FD is 253. A long message needs one piece of kernel memory, which may be scarce.
_FDS_OF_MESSAGE = 250
_BYTES_OF_MESSAGE = 56 << 10
# Half as many outdated entries as current ones may stay, and this many more.
_SPARE_ENTRIES = 64
# A peek at the n-th message passes over all those before it, so many take long to read (4,096 some
# 0.1 s). With few, each write has more of the current entries written again: these go round once in
# as many writes as there are messages.
_FEWEST_MESSAGES = 1024
_MOST_MESSAGES = 4096
_ENTRIES_FOR_EACH_MESSAGE = 4
# At most this many are taken out at once, which takes half a millisecond; where sockets are closed
# by that, a quarter of a millisecond for each message, and more while the kernel looks for cycles.
_STEP_MESSAGES = 64
_STEP_OF_TIDYING = 16

_ROOM_FOR_FDS = socket.CMSG_SPACE(253 * array("i").itemsize)
_PEEKING = socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_TRUNC | socket.MSG_CMSG_CLOEXEC

_FORMAT: Literal["emperord bag 1"] = "emperord bag 1"
_Row = tuple[str, bytes, int]  # key, payload, number of descriptors
_Frame = tuple[Literal["emperord bag 1"], list[_Row]]
_DECODER: msgspec.msgpack.Decoder[_Frame] = msgspec.msgpack.Decoder(_Frame)

_CAUSES = {
    errno.EAGAIN: "the queue is full; run emperord as root, or raise net.core.wmem_max",
    errno.ETOOMANYREFS: "too many descriptors are on their way; raise the limit on open files"
    " (LimitNOFILE= of the unit)",
    errno.EMSGSIZE: "that is too long; look for an ini with a great many hosts or sockets",
}


@dataclass(frozen=True, slots=True)
class _Message:
    """A message in the queue: its length in bytes, the number of its descriptors, and the keys of
    its entries."""

    length: int
    fds: int
    keys: tuple[str, ...]


class _Unreadable(Exception):
    """A message of `length` bytes that cannot be used. `keys` are those of its entries, as far as
    they are known."""

    def __init__(self, why: str, length: int, keys: Collection[str] = ()) -> None:
        super().__init__(why)
        self.length = length
        self.keys = keys


class Bag:
    """One log, by its two ends. The log of an earlier process must be read before it is written."""

    def __init__(self, reader: socket.socket, writer: socket.socket) -> None:
        self._reader = reader
        self._writer = writer
        self._messages: deque[_Message] = deque()
        # Messages are numbered as they are put.
        self._oldest = 0
        self._newest_entry: dict[str, int] = {}
        self._entries = 0
        self._capacity = writer.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    @classmethod
    def new(cls) -> "Bag":
        """An empty bag. Raises OSError."""
        reader, writer = socket.socketpair(*_KIND)
        try:
            writer.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _CAPACITY_BYTES)
        except PermissionError:
            writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CAPACITY_BYTES)
        return cls(reader, writer)

    @classmethod
    def inherited(cls, reader_fd: int, writer_fd: int) -> "Bag":
        """The bag of an earlier process. Raises OSError where the descriptors are not its ends."""
        ends = [socket.socket(fileno=fd) for fd in (reader_fd, writer_fd)]
        for end in ends:
            end.set_inheritable(False)
        if any((end.family, end.type) != _KIND for end in ends):
            for end in ends:
                end.close()
            raise OSError(errno.EPROTOTYPE, "these are no ends of a bag")
        return cls(*ends)

    @property
    def ends(self) -> tuple[int, int]:
        """The descriptors of the reader and of the writer, close-on-exec."""
        return self._reader.fileno(), self._writer.fileno()

    def close(self) -> None:
        """Close both ends. The kernel drops the contents when no process has the ends any more."""
        self._reader.close()
        self._writer.close()

    def read(self) -> dict[str, StoreEntry]:
        """The newest entry of each key, with close-on-exec descriptors that the caller must close.
        Nothing is taken out. Unusable messages are dropped, with one warning."""
        found: dict[str, StoreEntry] = {}
        problems: list[str] = []
        buffer = bytearray(_LONGEST_BYTES)
        offset = 0
        for number in itertools.count():
            entries: Collection[StoreEntry]
            try:
                length, entries = self._peek(offset, buffer)
            except BlockingIOError:
                break
            except _Unreadable as error:
                problems.append(str(error))
                length, entries = error.length, [StoreEntry(key) for key in error.keys]
            for entry in entries:
                if older := found.pop(entry.key, None):
                    _close_all([older])
                if entry.payload:
                    found[entry.key] = entry
            self._note(number, length, entries)
            offset += length
        if problems:
            log.warning(
                "%d messages that an earlier emperord left are set aside: %s",
                len(problems), problems[0],
            )  # fmt: skip
            self._take_out_all()
        return found

    def write(self, entries: Iterable[StoreEntry]) -> None:
        """Write these, and take out some outdated ones. Deletions alone take nothing out unless
        there are very many: `tidy` does so. Raises CannotKeep for the entries that did not fit; all
        others are kept."""
        failed: set[str] = set()
        first: OSError | None = None
        for batch in _batches(entries):
            try:
                self._send_if_it_fits(batch)
            except OSError as error:
                failed |= {entry.key for entry in batch}
                first = first or error
            if any(entry.payload for entry in batch) or len(self._messages) > 2 * _MOST_MESSAGES:
                self._tidy(_STEP_MESSAGES)
        if first:
            cause = _CAUSES.get(first.errno or 0, first.strerror)
            raise CannotKeep(
                f"cannot keep the state of {_named(failed)}: {cause}", failed
            ) from first

    def tidy(self) -> bool:
        """Take out some outdated entries, in a step of a few milliseconds. Returns whether there
        are more."""
        return self._tidy(_STEP_OF_TIDYING) and self._is_untidy()

    def delete(self, keys: Collection[str]) -> None:
        """Forget these keys. Their entries leave the queue at once, so that nothing holds their
        descriptors any more. Raises CannotKeep."""
        if keys:
            self.write([StoreEntry(key) for key in keys])
            self._take_out_all()

    def clear(self) -> None:
        """Drop everything, including the descriptors in it."""
        self._drop(len(self._messages))
        self._newest_entry.clear()

    def _send_if_it_fits(self, entries: Collection[StoreEntry]) -> None:
        if self._is_full():
            self._take_out_all()
            # The rest of the queue is for deletions, which free space, and for entries that are
            # written again at the back.
            if self._is_full() and any(entry.payload for entry in entries):
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._send(entries)

    def _is_full(self) -> bool:
        queued = fcntl.ioctl(self._writer, termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(queued, sys.byteorder) > self._capacity * _MOST_OF_CAPACITY

    def _send(self, entries: Collection[StoreEntry]) -> None:
        rows = [(entry.key, entry.payload, len(entry.fds)) for entry in entries]
        data = msgspec.msgpack.encode((_FORMAT, rows))
        if len(data) > _LONGEST_BYTES:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        fds = array("i", itertools.chain.from_iterable(entry.fds for entry in entries))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else []
        self._writer.sendmsg([data], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        self._note(self._oldest + len(self._messages), len(data), entries)

    def _note(self, number: int, length: int, entries: Collection[StoreEntry]) -> None:
        """Take note of a message at the back."""
        fds = sum(len(entry.fds) for entry in entries)
        self._messages.append(_Message(length, fds, tuple(entry.key for entry in entries)))
        self._entries += len(entries)
        for entry in entries:
            if entry.payload:
                self._newest_entry[entry.key] = number
            else:
                self._newest_entry.pop(entry.key, None)

    def _tidy(self, most_messages: int) -> bool:
        """Returns whether something was taken out."""
        if self._is_untidy():
            # Where that fails, because no descriptor is left say, the next write tries again.
            with suppress(OSError, _Unreadable):
                self._take_out(most_messages)
                return True
        return False

    def _is_untidy(self) -> bool:
        counting = len(self._newest_entry)
        idle = self._entries - counting
        wanted = counting // _ENTRIES_FOR_EACH_MESSAGE
        most = min(max(wanted, _FEWEST_MESSAGES), _MOST_MESSAGES)
        return idle > counting // 2 + _SPARE_ENTRIES or len(self._messages) > most

    def _take_out_all(self) -> None:
        """Drop every outdated entry, as far as that can be done now."""
        end = self._oldest + len(self._messages)
        with suppress(OSError, _Unreadable):
            while self._oldest < end:
                self._take_out(_STEP_MESSAGES)

    def _take_out(self, most_messages: int) -> None:
        """Write the current entries of some of the oldest messages at the back, in one message, and
        drop the old ones. Raises OSError and _Unreadable, and then nothing was done."""
        count = offset = length = fds = 0
        entries: list[StoreEntry] = []
        try:
            for number, message in enumerate(self._messages, self._oldest):
                if any(self._newest_entry.get(key) == number for key in message.keys):
                    length, fds = length + message.length, fds + message.fds
                    if entries and (length > _BYTES_OF_MESSAGE or fds > _FDS_OF_MESSAGE):
                        break
                    entries += self._counting(number, offset, message.length)
                offset += message.length
                count += 1
                if count == most_messages:
                    break
            if entries:
                self._send(entries)
        finally:
            _close_all(entries)
        self._drop(count)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            # Without room for them, the kernel closes its descriptors.
            self._reader.recv(1, socket.MSG_DONTWAIT)
            self._entries -= len(self._messages.popleft().keys)
            self._oldest += 1

    def _counting(self, number: int, offset: int, length: int) -> list[StoreEntry]:
        """The entries of a message that are the newest of their keys."""
        _, entries = self._peek(offset, bytearray(length))
        counting = [entry for entry in entries if self._newest_entry.get(entry.key) == number]
        _close_all(entry for entry in entries if self._newest_entry.get(entry.key) != number)
        return counting

    def _peek(self, offset: int, buffer: bytearray) -> tuple[int, list[StoreEntry]]:
        """The message that begins `offset` bytes into the queue: its length, and its entries with
        new descriptors. Raises BlockingIOError at the end of the queue, and _Unreadable."""
        self._reader.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, offset)
        length, ancillary, flags, _ = self._reader.recvmsg_into([buffer], _ROOM_FOR_FDS, _PEEKING)
        fds = array("i")
        for _level, _type, part in ancillary:
            fds.frombytes(part[: len(part) - len(part) % fds.itemsize])
        try:
            return length, _entries_of(memoryview(buffer)[:length], fds, length, flags)
        except _Unreadable:
            for fd in fds:
                os.close(fd)
            raise


def _entries_of(data: memoryview, fds: Sequence[int], length: int, flags: int) -> list[StoreEntry]:
    """The entries of a message that was received with these flags. Raises _Unreadable."""
    if length > len(data):
        raise _Unreadable(f"{length} bytes are more than there can be", length)
    try:
        _, rows = _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _Unreadable(f"another version wrote them, or nobody did ({error})", length) from error
    if flags & socket.MSG_CTRUNC:
        cause = (
            "there are more descriptors in them than may be open; raise LimitNOFILE= of the unit"
        )
        raise _Unreadable(cause, length, [key for key, _, _ in rows])
    if sum(count for _, _, count in rows) != len(fds):
        raise _Unreadable("descriptors are missing", length, [key for key, _, _ in rows])
    rest = iter(fds)
    return [
        StoreEntry(key, payload, tuple(itertools.islice(rest, count)))
        for key, payload, count in rows
    ]


def _batches(entries: Iterable[StoreEntry]) -> Iterator[list[StoreEntry]]:
    """`entries` in their order, as many together as one message should have."""
    batch: list[StoreEntry] = []
    fds = size = 0
    for entry in entries:
        fds += len(entry.fds)
        size += len(entry.key) + len(entry.payload)
        if batch and (fds > _FDS_OF_MESSAGE or size > _BYTES_OF_MESSAGE):
            yield batch
            batch, fds, size = [], len(entry.fds), len(entry.key) + len(entry.payload)
        batch.append(entry)
    if batch:
        yield batch


def _close_all(entries: Iterable[StoreEntry]) -> None:
    for entry in entries:
        for fd in entry.fds:
            os.close(fd)


def _named(keys: Collection[str]) -> str:
    first = min(keys)
    return first if len(keys) == 1 else f"{first} and {len(keys) - 1} more"
