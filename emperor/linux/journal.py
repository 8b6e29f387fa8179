"""Log records for journald, with fields beside the sentence: `journalctl DOMAIN=www.example.com`.

A record is one datagram of journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). What is
too long for a datagram is sent as a sealed memfd. If journald cannot be reached the record goes to
stderr, line by line, where a prefix tells the level (sd-daemon(3)).
"""

import errno
import fcntl
import logging
import os
import socket
import struct
import time
from array import array
from collections.abc import Mapping

PROGRAM = "emperord"
SOCKET = "/run/systemd/journal/socket"
# What apps and inis bring into a line must not steer a terminal, nor fill a disk. Marks of writing
# direction, and separators of lines, would show a line as another one.
_MARKS = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in _MARKS
}
_LONGEST_LINE = 4000
# journald may be busy for a moment. The daemon waits no longer: it would serve nobody. If that was
# not enough, it does not wait at all for a while.
SEND_SECONDS = 0.5
_NO_WAIT_SECONDS = 10.0
_TOO_LONG = frozenset({errno.EMSGSIZE, errno.ENOBUFS})
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
# Of syslog(3).
_PRIORITY = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.NOTSET, 7),
)
# Attributes of a log record, given by `extra=` (model/log_fields.py).
_FIELDS = ("domain", "event", "pid")


def is_stderr_journal(environment: Mapping[str, str]) -> bool:
    """Whether stderr leads to the journal: JOURNAL_STREAM names its device and inode."""
    try:
        stderr = os.fstat(2)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


class SafeFormatter(logging.Formatter):
    """Escapes control characters, and cuts lines that are too long."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).translate(_CONTROLS)
        return "\n".join(line[:_LONGEST_LINE] for line in text.split("\n"))


class PrefixFormatter(SafeFormatter):
    """Puts the level before each line, for a stderr that leads to the journal."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_priority(record.levelno)}>"
        return prefix + super().format(record).replace("\n", "\n" + prefix)


class JournalHandler(logging.Handler):
    """Sends each record to the journal, as of that `program`, or gives it to `fallback`."""

    def __init__(
        self, fallback: logging.Handler, address: str = SOCKET, program: str = PROGRAM
    ) -> None:
        super().__init__()
        self.setFormatter(SafeFormatter("%(message)s"))
        self._fallback = fallback
        self._address = address
        self._program = program
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        timeout = struct.pack("ll", 0, round(SEND_SECONDS * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self._may_wait_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        may_wait = time.monotonic() >= self._may_wait_at
        try:
            self._send(encode(self._fields(record)), 0 if may_wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._may_wait_at = time.monotonic() + _NO_WAIT_SECONDS
            self._fallback.handle(record)
        except OSError:
            self._fallback.handle(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        fields = {
            "MESSAGE": self.format(record),
            "PRIORITY": str(_priority(record.levelno)),
            "SYSLOG_IDENTIFIER": self._program,
            "LOGGER": record.name,
        }
        for name in _FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                fields[name.upper()] = str(value)
        return fields

    def _send(self, data: bytes, flags: int) -> None:
        try:
            self._socket.sendto(data, flags, self._address)
        except OSError as error:
            if error.errno not in _TOO_LONG:
                raise
            self._send_file(data, flags)

    def _send_file(self, data: bytes, flags: int) -> None:
        kind = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        with os.fdopen(os.memfd_create("emperord-log", kind), "wb", buffering=0) as file:
            # One write(2) may write less.
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file.fileno()]))
            self._socket.sendmsg([], [rights], flags, self._address)


def log_handler(environment: Mapping[str, str], program: str = PROGRAM) -> logging.Handler:
    """Logs to the journal, under the name of the program, if stderr leads there, and otherwise to
    stderr."""
    handler = logging.StreamHandler()
    if is_stderr_journal(environment):
        handler.setFormatter(PrefixFormatter("%(message)s"))
        return JournalHandler(fallback=handler, program=program)
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


def encode(fields: Mapping[str, str]) -> bytes:
    """Fields in the native protocol: a value with a line end has its length before it."""
    return b"".join(_encode(name, value) for name, value in fields.items())


def _encode(name: str, text: str) -> bytes:
    value = text.encode(errors="backslashreplace")
    if b"\n" not in value:
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"


def _priority(level: int) -> int:
    return next(priority for least, priority in _PRIORITY if level >= least)
