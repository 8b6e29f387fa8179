"""Which bases of an earlier daemon the next one goes on with, and what it knows of them."""

import os
import socket
import subprocess
import sys
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.bases.kept_base import (
    MOST_BYTES,
    Condition,
    KeptBase,
    Maker,
    Recipe,
    Surroundings,
    decode,
    encode,
    why_ended,
)
from emperor.bases.kept_bases import KeptBases
from emperor.bases.order import Imported, User
from emperor.bases.request import Home
from emperor.model.limits import Limits
from emperor.model.ports import StoreEntry
from emperor.model.snapshot import Stale
from tests.supervisor.action_log import ActionLog
from tests.supervisor.fake_store import FakeStore

MAKER = Maker("1.0", ((1, 2),), "/usr/bin/python3", "/lib/pyuwsgi.so", ((3, 4), (5, 6)))
HOME = Home("/srv/venv", User(1000, 1000, "alice"), True, (1024, 4096))
NEAR = Surroundings(frozenset({29}), {"/usr/lib": (1, 2)})
RECIPE = Recipe(
    HOME, {"HOME": "/home/alice"}, Limits(memory_max=1 << 29), ("django", "extra"), NEAR
)
IMPORTED = Imported(("os", "django"), {"bad": "it needs threads"})
ROOT = KeptBase(4711, MAKER, IMPORTED, 17.5, 3, None, "")
OF_HOME = replace(ROOT, recipe=RECIPE, group="uid-1000/v-.base/1")
CHILD = Condition(is_alive=True, is_stopped=False, is_child=True)
ORPHAN = replace(CHILD, is_child=False)
OTHER_HOME = replace(HOME, no_new_privs=False)


@pytest.mark.parametrize("base", [ROOT, OF_HOME], ids=["root", "home"])
def test_a_base_is_what_it_was_said_to_be(base: KeptBase) -> None:
    data = encode(base)
    assert data is not None
    assert decode(data) == base


def test_a_base_with_endless_names_is_not_kept() -> None:
    names = tuple(os.urandom(40).hex() for _ in range(2500))
    assert encode(replace(ROOT, imported=Imported(names, {}))) is None
    usual = tuple(f"django.contrib.admin.templatetags.module_{n}" for n in range(2500))
    data = encode(replace(ROOT, imported=Imported(usual, {})))
    assert data is not None
    assert len(data) < MOST_BYTES / 2


@given(st.binary(max_size=200))
def test_bytes_of_another_version_are_stale(data: bytes) -> None:
    whole = encode(OF_HOME)
    assert whole is not None
    for garbled in (data, whole[:-5], whole[: len(whole) // 2] + data):
        with suppress(Stale):
            assert decode(garbled) == OF_HOME


def test_a_bomb_is_unpacked_in_part() -> None:
    with pytest.raises(Stale):
        decode(zlib.compress(bytes(1 << 28)))


@pytest.mark.parametrize(
    ("base", "found", "maker", "there", "why"),
    [
        (ROOT, CHILD, MAKER, (), ""),
        (ROOT, ORPHAN, MAKER, (), ""),
        (OF_HOME, CHILD, MAKER, {None}, ""),
        (OF_HOME, CHILD, MAKER, {None, OTHER_HOME}, ""),
        (OF_HOME, ORPHAN, MAKER, {None}, "it is a tenant's, and no child of this daemon"),
        (OF_HOME, CHILD, MAKER, (), "the base that it was forked from is of no use"),
        (OF_HOME, CHILD, MAKER, {None, HOME}, "another one is in its place"),
        (ROOT, CHILD, MAKER, {None}, "another one is in its place"),
        (ROOT, replace(CHILD, is_alive=False), MAKER, (), "it has ended"),
        (ROOT, replace(CHILD, is_stopped=True), MAKER, (), "somebody has stopped it"),
        (ROOT, CHILD, None, (), "no such bases are made now"),
        (ROOT, CHILD, replace(MAKER, emperord="1.1"), (), "another version has made it"),
        (ROOT, CHILD, replace(MAKER, code=((1, 3),)), (), "another version has made it"),
        (ROOT, CHILD, replace(MAKER, program=()), (), "another version has made it"),
    ],
)
def test_what_does_not_fit_ends(
    base: KeptBase, found: Condition, maker: Maker | None, there: Collection[Home | None], why: str
) -> None:
    assert why_ended(base, found, maker, there) == why


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def entry_of(process: "subprocess.Popen[bytes]", **changes: object) -> StoreEntry:
    """What an earlier daemon has kept of that process, with descriptors of its own."""
    base = replace(ROOT, pid=process.pid)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.close()
    data = encode(base)
    assert data is not None
    fds = (near.detach(), os.pidfd_open(process.pid))
    entry = StoreEntry(base.key, data, fds)
    return replace(entry, **changes)  # type: ignore[arg-type]


def test_the_kernel_tells_what_became_of_a_base(sleeper: "subprocess.Popen[bytes]") -> None:
    kept, store = KeptBases(), FakeStore(ActionLog())
    [found] = kept.take(store, [entry_of(sleeper)])
    assert found.condition == CHILD
    found.end()
    sleeper.wait()
    assert not store.entries
    kept.forget(sleeper.pid)
    assert store.left == []


@pytest.mark.parametrize("change", ["payload", "key", "fds"])
def test_what_cannot_be_read_is_ended(sleeper: "subprocess.Popen[bytes]", change: str) -> None:
    """As of a version to come."""
    entry = entry_of(sleeper)
    if change == "fds":
        entry = replace(entry, fds=entry.fds[::-1])
    else:
        entry = replace(entry, **{change: b"?" if change == "payload" else ".base/1"})  # type: ignore[arg-type]
    kept, store = KeptBases(), FakeStore(ActionLog())
    assert kept.take(store, [entry]) == []
    assert sleeper.wait() < 0
    assert store.entries[entry.key].payload == b""
    for fd in entry.fds:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)


def test_a_full_bag_keeps_no_base(sleeper: "subprocess.Popen[bytes]") -> None:
    kept, store = KeptBases(), FakeStore(ActionLog())
    kept.keep(ROOT, 0, 0)
    [found] = kept.take(store, [entry_of(sleeper)])
    store.problem = "the queue is full"
    kept.keep(found.kept, found.control.fileno(), found.pidfd)
    kept.forget(sleeper.pid)
    found.end()
