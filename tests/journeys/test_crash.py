"""`kill -9` of the daemon: whoever starts next goes on with everything, and the apps never notice.

Here tests/fdstore.py keeps what systemd would keep; tests/systemd does the same with the real one.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import psutil
import pytest

from emperor.linux.bag import Bag
from emperor.model.ports import StoreEntry
from tests.backend import Backend
from tests.eventually import eventually
from tests.fdstore import FdStore

Start = Callable[..., Backend]


@pytest.fixture
def store(folder: Path) -> Iterator[FdStore]:
    with FdStore(folder / "notify") as store:
        yield store


@pytest.fixture
def backend(start: Start, store: FdStore) -> Backend:
    return start(launch=store.start)


def pid(backend: Backend, domain: str) -> int:
    """Of the master that leads."""
    vassal = backend.vassal(domain)
    assert vassal
    leader: int = vassal["pid"]
    return leader


def test_an_app_that_runs_never_notices(backend: Backend) -> None:
    backend.add("a.example")
    before = backend.get("a.example").text, pid(backend, "a.example"), backend.inode("a.example")
    for _ in range(3):
        backend.crash()
    assert backend.state("a.example") == "running"
    after = backend.get("a.example").text, pid(backend, "a.example"), backend.inode("a.example")
    assert after == before
    assert len(backend.lines("took over 1 vassals with 1 processes")) == 3
    assert backend.call("POST", "/v1/vassals/a.example/sleep")[0] == 200


def test_an_app_that_sleeps_is_woken_by_who_came_meanwhile(start: Start, store: FdStore) -> None:
    backend = start(launch=store.start, activation="socket")
    backend.add("a.example")
    backend.process.kill()
    backend.process.wait()
    replies: list[int] = []
    visitor = threading.Thread(target=lambda: replies.append(backend.get("a.example").status))
    visitor.start()
    backend.start()
    visitor.join()
    assert replies == [200]


def test_an_app_that_boots_is_adopted(backend: Backend) -> None:
    backend.add("a.example", env="BOOT_SECONDS=2")
    backend.nginx.expect("upstream prematurely closed connection")
    replies: list[int] = []
    visitor = threading.Thread(target=lambda: replies.append(backend.get("a.example").status))
    visitor.start()
    eventually(lambda: backend.state("a.example") == "starting")
    backend.crash()
    visitor.join()
    assert replies == [200]
    vassal = backend.vassal("a.example")
    assert vassal
    assert (vassal["state"], vassal["starts"]) == ("running", 1)


def test_an_app_that_died_meanwhile_is_noticed(backend: Backend) -> None:
    backend.expect("a.example: running → .*exit status unknown")
    backend.add("a.example")
    backend.get("a.example")
    leader = psutil.Process(pid(backend, "a.example"))
    backend.process.kill()
    backend.process.wait()
    leader.kill()
    backend.start()
    eventually(lambda: backend.state("a.example") in ("parked", "throttled"))
    eventually(lambda: backend.get("a.example").status == 200)


def test_an_app_that_is_on_its_way_out_goes(backend: Backend) -> None:
    backend.add("a.example", hook_as_user_atexit="exec:sleep 2")
    backend.get("a.example")
    backend.remove("a.example")
    eventually(lambda: backend.lines("a.example: running → stopping: its ini is gone"))
    assert backend.children()
    backend.crash()
    assert not backend.lines("stopping → (?!gone)")
    eventually(lambda: not list(backend.sockets.iterdir()))


def test_a_throttled_app_stays_throttled(start: Start, store: FdStore) -> None:
    backend = start(launch=store.start, throttle_first="60")
    backend.expect("throttled")
    backend.add("a.example", "broken.py")
    assert backend.get("a.example").status == 503
    before = backend.vassal("a.example")
    backend.crash()
    after = backend.vassal("a.example")
    assert before and after
    for key in ("state", "consecutive_failures", "last_error"):
        assert after[key] == before[key]
    assert before["state"] == "throttled"


def test_inis_that_changed_came_or_went_meanwhile_are_honoured(backend: Backend) -> None:
    for domain in ("same.example", "changed.example", "gone.example"):
        backend.add(domain)
        backend.get(domain)
    before = {domain: pid(backend, domain) for domain in ("same.example", "changed.example")}
    backend.process.kill()
    backend.process.wait()
    backend.drop("changed.example", backend.ini("changed.example", idle="77"))
    backend.drop("new.example", backend.ini("new.example"))
    backend.remove("gone.example")
    backend.start()
    eventually(lambda: backend.state("gone.example") is None)
    assert backend.state("new.example") == "parked"
    eventually(lambda: pid(backend, "changed.example") != before["changed.example"])
    assert pid(backend, "same.example") == before["same.example"]


def test_a_reload_under_way_is_finished(backend: Backend) -> None:
    backend.add("a.example", env="BOOT_SECONDS=1")
    old = backend.get("a.example").text
    (backend.vassals / "a.example.ini").touch()
    eventually(lambda: backend.state("a.example") == "reloading")
    backend.crash()
    eventually(lambda: backend.get("a.example").text != old)
    vassal = backend.vassal("a.example")
    assert vassal
    assert vassal["starts"] == 2


def test_nothing_is_left_behind_by_a_stop_after_a_crash(backend: Backend, store: FdStore) -> None:
    backend.add("a.example")
    backend.get("a.example")
    backend.crash()
    fds = backend.fds
    backend.crash()
    assert backend.fds == fds, "each takes over what it needs, and no more"
    assert backend.stop() == 0
    assert store.names == ["bag.reader", "bag.writer"]
    backend.start()
    assert backend.state("a.example") == "parked"
    assert not backend.children()


# What nobody can go on with.


@contextmanager
def words_in(store: FdStore) -> Iterator[tuple[Bag, dict[str, StoreEntry]]]:
    """What the next daemon would find, to be tampered with."""
    ends = [os.dup(store.kept[name]) for name in ("bag.reader", "bag.writer")]
    bag = Bag.inherited(*ends)
    words = bag.read()
    yield bag, words
    for word in words.values():
        for fd in word.fds:
            os.close(fd)
    bag.close()


def of_another_format(word: StoreEntry) -> StoreEntry:
    record = msgspec.msgpack.decode(word.payload)
    return replace(word, payload=msgspec.msgpack.encode(record | {"format": 99}))


def without_descriptors(word: StoreEntry) -> StoreEntry:
    return replace(word, fds=())


def with_others(word: StoreEntry) -> StoreEntry:
    return replace(word, fds=tuple(os.dup(1) for _ in word.fds))


@pytest.mark.parametrize(
    ("whose", "tamper"),
    [
        ("vassals", of_another_format),
        ("vassals", without_descriptors),
        ("vassals", with_others),
        ("the daemon's own", of_another_format),
        ("the daemon's own", without_descriptors),
    ],
)
def test_stale_entries_are_dropped_and_every_site_is_served(
    backend: Backend, store: FdStore, whose: str, tamper: Callable[[StoreEntry], StoreEntry]
) -> None:
    backend.expect("cannot (go on with 2 vassals|use the record of an earlier emperord)")
    # Its socket is free when it has noticed that its emperor is gone.
    backend.expect("a.example.*another process has bound it")
    backend.nginx.expect("prematurely closed|Connection re(fused|set)")
    backend.add("a.example")
    backend.add("b.example")
    before = backend.get("a.example").text
    backend.process.kill()
    backend.process.wait()
    with words_in(store) as (bag, words):
        bag.write(
            tamper(word) for key, word in words.items() if (key == "") != (whose == "vassals")
        )
    backend.start()
    for domain in ("a.example", "b.example"):
        eventually(partial(is_served, backend, domain))
    assert (backend.get("a.example").text == before) == (whose != "vassals")
    backend.crash()
    assert backend.get("a.example").status == 200, "and nothing of it is left"


def is_served(backend: Backend, domain: str) -> bool:
    return backend.get(domain).status == 200
