"""Log records on their way to journald."""

import fcntl
import io
import logging
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from emperor.linux.journal import SEND_SECONDS, JournalHandler, PrefixFormatter, is_stderr_journal
from emperor.model.log_fields import LogFields


class Journald:
    """A socket that records are sent to."""

    def __init__(self, address: Path) -> None:
        self.address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def next(self) -> dict[str, str]:
        """The fields of the next record."""
        data, fds, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
        for fd in fds:
            assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
            with os.fdopen(fd, "rb") as file:
                file.seek(0)
                data = file.read()
        return decoded(data)

    def close(self) -> None:
        self._socket.close()


def decoded(data: bytes) -> dict[str, str]:
    """The opposite of what is tested, read as the protocol's page says."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, is_short, value = line.partition(b"=")
        if not is_short:
            [length] = struct.unpack("<Q", data[:8])
            value, end, data = (
                data[8 : 8 + length],
                data[8 + length : 9 + length],
                data[9 + length :],
            )
            assert end == b"\n"
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    with closing(Journald(tmp_path / "socket")) as journald:
        yield journald


@pytest.fixture
def stderr() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(tmp_path: Path, stderr: io.StringIO) -> Iterator[logging.Logger]:
    """A logger that writes to the journal."""
    fallback = logging.StreamHandler(stderr)
    fallback.setFormatter(PrefixFormatter("%(message)s"))
    log = logging.Logger("emperord.governor")
    with closing(JournalHandler(fallback, str(tmp_path / "socket"))) as handler:
        log.addHandler(handler)
        yield log


def test_a_record_has_fields_beside_the_sentence(journald: Journald, log: logging.Logger) -> None:
    fields = LogFields(domain="a.example", event="accepting", pid=4711)
    log.warning("%s: it is up", "a.example", extra=fields)
    assert journald.next() == {
        "MESSAGE": "a.example: it is up",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "emperord",
        "LOGGER": "emperord.governor",
        "DOMAIN": "a.example",
        "EVENT": "accepting",
        "PID": "4711",
    }


def test_the_agent_of_a_balancer_has_a_name_of_its_own(journald: Journald, tmp_path: Path) -> None:
    log = logging.Logger("emperord.news")
    address = str(tmp_path / "socket")
    with closing(JournalHandler(logging.StreamHandler(), address, "emperord-balancer")) as handler:
        log.addHandler(handler)
        log.info("table 1 is written")
        assert journald.next()["SYSLOG_IDENTIFIER"] == "emperord-balancer"


def test_a_record_without_fields_has_none(journald: Journald, log: logging.Logger) -> None:
    log.info("serving")
    assert journald.next().keys() == {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "LOGGER"}


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.DEBUG, "7"),
        (logging.INFO, "6"),
        (logging.WARNING, "4"),
        (logging.ERROR, "3"),
        (logging.CRITICAL, "2"),
    ],
)
def test_each_level_has_its_priority(
    journald: Journald, log: logging.Logger, level: int, priority: str
) -> None:
    log.log(level, "x")
    assert journald.next()["PRIORITY"] == priority


def test_a_traceback_is_one_record(journald: Journald, log: logging.Logger) -> None:
    try:
        raise OSError("the disk is on fire")
    except OSError:
        log.exception("cannot go on")
    message = journald.next()["MESSAGE"]
    assert message.startswith("cannot go on\nTraceback (most recent call last):\n  File")
    assert message.endswith("OSError: the disk is on fire")


def test_a_line_end_cannot_smuggle_a_field_in(journald: Journald, log: logging.Logger) -> None:
    log.info("one\nPRIORITY=0", extra=LogFields(domain="a\nDOMAIN=b"))
    record = journald.next()
    assert (record["MESSAGE"], record["PRIORITY"]) == ("one\nPRIORITY=0", "6")
    assert record["DOMAIN"] == "a\nDOMAIN=b"


def test_a_record_that_no_datagram_holds_arrives(journald: Journald, log: logging.Logger) -> None:
    fds = len(os.listdir("/proc/self/fd"))
    text = "\n".join(f"{number}: {'x' * 3_000}" for number in range(1_000))
    log.error("%s", text)
    assert journald.next()["MESSAGE"] == text
    assert len(os.listdir("/proc/self/fd")) == fds


def test_control_characters_and_long_lines_are_cut(journald: Journald, log: logging.Logger) -> None:
    log.info("\x1b[2J\x9b\u202e\udcff" + "x" * 10_000)
    message = journald.next()["MESSAGE"]
    assert message.startswith("\\x1b[2J\\x9b\\u202e\\udcffx")
    assert len(message) < 4_100


def test_without_journald_stderr_has_the_level(log: logging.Logger, stderr: io.StringIO) -> None:
    log.warning("one\ntwo")
    assert stderr.getvalue() == "<4>one\n<4>two\n"


def test_a_journald_that_hangs_is_not_waited_for(
    journald: Journald, log: logging.Logger, stderr: io.StringIO
) -> None:
    queue = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    for number in range(queue + 2):
        log.info("%d", number)
    assert stderr.getvalue() == f"<6>{queue + 1}\n"
    assert journald.next()["MESSAGE"] == "0"


def test_stderr_is_the_journal_if_its_inode_says_so() -> None:
    stderr = os.fstat(2)
    stream = f"{stderr.st_dev}:{stderr.st_ino}"
    assert is_stderr_journal({"JOURNAL_STREAM": stream})
    assert not is_stderr_journal({"JOURNAL_STREAM": f"{stream}0"})
    assert not is_stderr_journal({})


def test_a_journald_that_hangs_delays_one_line_and_no_more(tmp_path: Path) -> None:
    lines = 40
    printed = io.StringIO()
    with closing(Journald(tmp_path / "journald")) as journald:
        handler = JournalHandler(logging.StreamHandler(printed), journald.address)
        begins = time.monotonic()
        with closing(handler):
            for number in range(lines):
                line = f"line {number}"
                handler.emit(logging.LogRecord("a", logging.INFO, "", 0, line, (), None))
    unsent = printed.getvalue().count("line")
    assert unsent > lines / 2, "nobody reads, so the queue is full soon"
    assert time.monotonic() - begins < unsent * SEND_SECONDS / 2
