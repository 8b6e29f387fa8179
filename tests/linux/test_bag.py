"""The fd bag on the real kernel: the newest word wins, and no step of it loses a word."""

import errno
import fcntl
import logging
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import termios
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from emperor.linux.bag import Bag
from emperor.model.ports import CannotKeep, StoreEntry

PUTS = 100_000
_NOBODY_ELSE = 64_123
_SO_SNDBUFFORCE = 32  # asm-generic/socket.h


@pytest.fixture
def bag() -> Iterator[Bag]:
    bag = Bag.new()
    yield bag
    bag.close()


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    before = open_fds()
    yield
    assert open_fds() == before


def open_fds() -> set[str]:
    listed = os.listdir("/proc/self/fd")  # with that of the listing itself, which is closed now
    return {fd for fd in listed if os.path.lexists(f"/proc/self/fd/{fd}")}


def take_over(bag: Bag) -> Bag:
    """The bag that another process would make from the same two ends."""
    reader, writer = bag.ends
    return Bag.inherited(os.dup(reader), os.dup(writer))


def found(bag: Bag) -> dict[str, bytes]:
    """What the next process would read."""
    successor = take_over(bag)
    words = successor.read()
    close(words)
    successor.close()
    return {key: word.payload for key, word in words.items()}


def close(words: dict[str, StoreEntry]) -> None:
    for word in words.values():
        for fd in word.fds:
            os.close(fd)


def bytes_in(bag: Bag) -> int:
    """The kernel's memory that the queue takes."""
    size = fcntl.ioctl(bag.ends[1], termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", size)[0])


@contextmanager
def somewhere() -> Iterator[int]:
    """A descriptor to put into words."""
    fd = os.open("/dev/null", os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def without_privileges() -> Iterator[None]:
    # The kernel counts descriptors in flight by the real user, over all processes of the machine:
    # this one has none but ours.
    os.setresuid(_NOBODY_ELSE, _NOBODY_ELSE, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def most_files(more: int) -> Iterator[None]:
    """Limit the number of open descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with somewhere() as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1 + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# What it is for.


def test_the_newest_word_about_each_key_is_found(bag: Bag) -> None:
    bag.write([StoreEntry("a", b"1"), StoreEntry("b", b"1")])
    bag.write([StoreEntry("a", b"2")])
    assert found(bag) == {"a": b"2", "b": b"1"}


def test_a_word_without_a_payload_ends_it(bag: Bag) -> None:
    bag.write([StoreEntry("a", b"1"), StoreEntry("b", b"1")])
    bag.write([StoreEntry("a")])
    assert found(bag) == {"b": b"1"}
    bag.write([StoreEntry("a", b"2")])
    assert found(bag) == {"a": b"2", "b": b"1"}


def test_reading_takes_nothing_out(bag: Bag) -> None:
    bag.write([StoreEntry(str(number), b"x" * 1000) for number in range(500)])
    expected = {str(number): b"x" * 1000 for number in range(500)}
    assert found(bag) == found(bag) == expected


def test_a_listener_lives_on_in_it_with_its_queue(bag: Bag, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        bag.write([StoreEntry("a", b"1", (listener.fileno(),))])
        listener.close()
        client.connect(path)
        client.send(b"asked meanwhile")
        (fd,) = bag.read()["a"].fds
        assert not os.get_inheritable(fd), "what a child is not given it must not have"
        with socket.socket(fileno=fd) as again:
            served, _ = again.accept()
            assert served.recv(100) == b"asked meanwhile"
            served.close()


def test_each_word_gets_its_own_descriptors(bag: Bag) -> None:
    pipes = [os.pipe() for _ in range(3)]
    bag.write(
        [
            StoreEntry("a", b"1", pipes[0]),
            StoreEntry("none", b"1"),
            StoreEntry("b", b"1", pipes[1] + pipes[2]),
        ]
    )
    words = bag.read()
    assert [len(words[key].fds) for key in ("a", "none", "b")] == [2, 0, 4]
    given = [os.fstat(fd).st_ino for pipe in pipes for fd in pipe]
    assert [os.fstat(fd).st_ino for key in ("a", "b") for fd in words[key].fds] == given
    close(words)
    for fd in (fd for pipe in pipes for fd in pipe):
        os.close(fd)


def test_a_process_that_is_killed_leaves_it_to_the_next(bag: Bag) -> None:
    script = (
        "import os, signal, sys\n"
        "from emperor.linux.bag import Bag\n"
        "from emperor.model.ports import StoreEntry\n"
        "bag = Bag.inherited(*map(int, sys.argv[1:]))\n"
        "print(sorted(bag.read()), flush=True)\n"
        "bag.write([StoreEntry('b', b'2', (0,))])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    bag.write([StoreEntry("a", b"1")])
    command = [sys.executable, "-c", script, *map(str, bag.ends)]
    result = subprocess.run(
        command, pass_fds=bag.ends, stdout=subprocess.PIPE, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (-9, "['a']\n")
    assert found(bag) == {"a": b"1", "b": b"2"}


# What keeps the queue short, and when a process may end.


def test_it_never_grows_however_often_words_are_put(bag: Bag) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    model: dict[str, bytes] = {}
    keys = [f"app{number}.example" for number in range(40)]
    most = 0
    with somewhere() as fd:
        for count in range(PUTS):
            key = keys[int(chance.random() ** 3 * len(keys))]
            payload = b"%d" % count if chance.random() < 0.9 else b""
            bag.write([StoreEntry(key, payload, (fd, fd) if payload else ())])
            model[key] = payload
            if count % 1000 == 0:
                most = max(most, bytes_in(bag))
    assert found(bag) == {key: payload for key, payload in model.items() if payload}
    # A message takes about a kilobyte of the kernel's; 40 words count at most.
    assert most < 500_000


@hypothesis_settings(deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=3)), max_size=3),
        max_size=300,
    )
)
def test_the_last_write_of_each_key_is_read(
    puts: list[list[tuple[str, bytes]]],
) -> None:
    bag = Bag.new()
    expected: dict[str, bytes] = {}
    for words in puts:
        bag.write([StoreEntry(key, payload) for key, payload in words])
        expected |= dict(words)
    assert found(bag) == {key: payload for key, payload in expected.items() if payload}
    bag.close()


class Doomed(socket.socket):
    """An end of a bag whose process might be killed before and after each call to the kernel."""

    look: Callable[[], None]

    def sendmsg(self, *args: Any) -> int:
        self.look()
        sent = super().sendmsg(*args)
        self.look()
        return sent

    def recv(self, *args: Any) -> bytes:
        self.look()
        received = super().recv(*args)
        self.look()
        return received


def test_a_crash_between_any_two_steps_loses_no_word() -> None:
    reader, writer = (Doomed(fileno=end.detach()) for end in seqpackets())
    bag = Bag(reader, writer)
    settled: dict[str, bytes] = {}
    coming: dict[str, bytes] = {}
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        left = found(bag)
        for key in settled | coming:
            assert left.get(key, b"") in (settled.get(key, b""), coming.get(key, b"none is coming"))

    reader.look = writer.look = look
    chance = random.Random(4)
    for count in range(600):
        key = f"{int(chance.random() ** 2 * 20)}"
        coming = {key: b"%d" % count if chance.random() < 0.8 else b""}
        bag.write([StoreEntry(key, payload) for key, payload in coming.items()])
        settled |= coming
    assert looks > 2000, "old messages were taken out"
    bag.close()


def seqpackets() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def test_when_all_is_dropped_nothing_is_held_any_more(bag: Bag) -> None:
    read_end, write_end = os.pipe()
    bag.write([StoreEntry("a", b"1", (write_end,))])
    bag.write([StoreEntry("b", b"1"), StoreEntry("a")])
    os.close(write_end)
    bag.clear()
    assert os.read(read_end, 1) == b""
    assert bytes_in(bag) == 0
    os.close(read_end)
    bag.write([StoreEntry("c", b"1")])
    assert found(bag) == {"c": b"1"}


def test_the_heir_keeps_it_short_too(bag: Bag) -> None:
    for number in range(60):
        bag.write([StoreEntry("a", b"%d" % number)])
    successor = take_over(bag)
    close(successor.read())
    for number in range(1000):
        successor.write([StoreEntry("b", b"%d" % number)])
    assert found(successor) == {"a": b"59", "b": b"999"}
    assert bytes_in(successor) < 200_000
    successor.close()


def test_words_that_were_put_one_by_one_come_together_in_time(bag: Bag) -> None:
    """A peek passes over all messages before, so thousands of them would take seconds to read."""
    for number in range(4000):
        bag.write([StoreEntry(str(number), b"x")])
    messages = 0
    successor, _ = (socket.socket(fileno=os.dup(end)) for end in bag.ends)
    successor.setsockopt(socket.SOL_SOCKET, 42, 0)
    with suppress(BlockingIOError):
        while successor.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT):
            messages += 1
    assert messages < 1500
    successor.close()
    _.close()
    assert len(found(bag)) == 4000


class Counting(socket.socket):
    """The end of a bag that counts the entries that are written."""

    entries = 0

    def sendmsg(self, buffers: Any, *args: Any) -> int:
        self.entries += len(msgspec.msgpack.decode(buffers[0])[1])
        return super().sendmsg(buffers, *args)


def test_a_write_has_few_others_written_again() -> None:
    reader, writer = seqpackets()
    counting = Counting(fileno=writer.detach())
    counting.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 26)
    bag = Bag(reader, counting)
    keys = [f"app{number}.example" for number in range(10_000)]
    bag.write([StoreEntry(key, b"x") for key in keys])
    before, writes = counting.entries, 10_000
    chance = random.Random(1)
    for _ in range(writes):
        bag.write([StoreEntry(chance.choice(keys), b"y")])
    assert (counting.entries - before) / writes < 6
    assert len(found(bag)) == len(keys)
    bag.close()


def test_deletions_alone_close_nothing_until_it_is_tidied(bag: Bag) -> None:
    """The end of a socket takes long, and thousands may be deleted at once."""
    read_end, write_end = os.pipe2(os.O_NONBLOCK)
    keys = [f"app{number}.example" for number in range(1000)]
    for key in keys:
        bag.write([StoreEntry(key, b"x", (write_end,))])
    os.close(write_end)
    for key in keys[1:]:
        bag.write([StoreEntry(key)])
    messages = bytes_in(bag)
    steps = 1
    while bag.tidy():
        steps += 1
    assert steps > 20, "each step is short"
    assert bytes_in(bag) < messages / 4
    assert found(bag) == {keys[0]: b"x"}
    bag.delete(keys[:1])
    assert os.read(read_end, 1) == b""
    os.close(read_end)
    assert not bag.tidy()


# When it does not fit.


def test_a_full_queue_is_told_and_takes_entries_again() -> None:
    reader, writer = seqpackets()
    writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)
    bag = Bag(reader, writer)
    kept: list[str] = []
    with pytest.raises(
        CannotKeep, match=r"state of app\d+: the queue is full; run emperord as"
    ) as e:
        for number in range(5000):
            bag.write([StoreEntry(f"app{number}", b"x" * 500)])
            kept.append(f"app{number}")
    assert e.value.keys == {f"app{len(kept)}"}
    assert found(bag).keys() == set(kept)
    for ended in kept[:50]:
        bag.write([StoreEntry(ended)])
    bag.write([StoreEntry("one more", b"x" * 500)])
    assert found(bag).keys() == {*kept[50:], "one more"}
    bag.close()


def test_without_privileges_it_is_smaller_and_works() -> None:
    with without_privileges():
        bag = Bag.new()
        bag.write([StoreEntry("a", b"1")])
    assert found(bag) == {"a": b"1"}
    bag.close()


def test_too_many_descriptors_are_told_with_the_limit() -> None:
    bag = Bag.new()
    refused = pytest.raises(CannotKeep, match="raise the limit on open files")
    with somewhere() as fd, most_files(20), without_privileges(), refused:
        for number in range(10_000):
            bag.write([StoreEntry(f"app{number}", b"x", (fd,))])
    assert "app0" in found(bag)
    bag.close()


def test_a_word_that_is_too_long_does_not_keep_others_out(bag: Bag) -> None:
    words = [StoreEntry("a", b"1"), StoreEntry("long", b"x" * (2 << 20)), StoreEntry("b", b"1")]
    with pytest.raises(
        CannotKeep, match="cannot keep the state of long: that is too long"
    ) as error:
        bag.write(words)
    assert error.value.keys == {"long"}
    assert found(bag) == {"a": b"1", "b": b"1"}


def test_a_long_word_is_kept_whole(bag: Bag) -> None:
    bag.write([StoreEntry("a", b"x" * 900_000), StoreEntry("b", b"1")])
    assert {key: len(payload) for key, payload in found(bag).items()} == {"a": 900_000, "b": 1}


def test_what_cannot_be_opened_is_set_aside_with_the_limit(
    bag: Bag, caplog: pytest.LogCaptureFixture
) -> None:
    with somewhere() as fd:
        bag.write([StoreEntry("few", b"1", (fd,))])
        bag.write([StoreEntry("many", b"1", (fd,))])
        bag.write([StoreEntry("many", b"2", (fd,) * 100)])
    successor = take_over(bag)
    with most_files(50):
        words = successor.read()
    assert words.keys() == {"few"}, "an older word about it must not be believed"
    close(words)
    successor.close()
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "raise LimitNOFILE= of the unit" in line.getMessage()


# What somebody else wrote.


@pytest.mark.parametrize(
    "message",
    [
        b"?",
        b"x" * 3_000_000,
        b"\x92\xaeemperord bag 2\x90",
        b"\x92\xaeemperord bag 1\x91\x93\xa1z\xc4\x011\x05",
    ],
    ids=["rubbish", "endless", "another version", "descriptors missing"],
)
def test_foreign_entries_are_set_aside_and_the_rest_is_used(
    bag: Bag, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    bag.write([StoreEntry("a", b"1")])
    writer = socket.socket(fileno=os.dup(bag.ends[1]))
    read_end, write_end = os.pipe()
    writer.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [write_end]))])
    writer.close()
    os.close(write_end)
    bag.write([StoreEntry("b", b"1")])
    successor = take_over(bag)
    words = successor.read()
    assert {key: word.payload for key, word in words.items()} == {"a": b"1", "b": b"1"}
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "1 messages that an earlier emperord left are set aside" in line.getMessage()
    assert os.read(read_end, 1) == b"", "its descriptors are closed"
    os.close(read_end)
    caplog.clear()
    assert found(successor) == {"a": b"1", "b": b"1"}
    assert not caplog.records
    successor.close()


def test_what_is_no_bag_is_refused() -> None:
    ends = [end.detach() for end in socket.socketpair()]
    with pytest.raises(OSError, match="these are no ends of a bag") as error:
        Bag.inherited(*ends)
    assert error.value.errno == errno.EPROTOTYPE
