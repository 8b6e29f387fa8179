"""`kill -9` of the daemon: the next daemon takes over everything, and the apps notice nothing.

Here tests/fdstore.py keeps what systemd would keep; tests/systemd does the same with the real one.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from emperor.linux.bag import Bag
from emperor.model.ports import StoreEntry
from tests.backend import Backend, ends_after
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


def test_an_app_that_runs_never_notices(backend: Backend) -> None:
    backend.add("a.example")
    before = backend.get("a.example").text, backend.leader("a.example"), backend.inode("a.example")
    for _ in range(3):
        backend.crash()
    assert backend.state("a.example") == "running"
    after = backend.get("a.example").text, backend.leader("a.example"), backend.inode("a.example")
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
    gate = backend.folder / "gate"
    backend.add("a.example", env=f"GATE={gate}")
    backend.nginx.expect("upstream prematurely closed connection")
    replies: list[int] = []
    visitor = threading.Thread(target=lambda: replies.append(backend.get("a.example").status))
    visitor.start()
    eventually(lambda: backend.state("a.example") == "starting")
    backend.crash()
    gate.touch()
    visitor.join()
    assert replies == [200]
    vassal = backend.vassal("a.example")
    assert vassal
    assert (vassal["state"], vassal["starts"]) == ("running", 1)


def test_an_app_that_died_meanwhile_is_noticed(backend: Backend) -> None:
    backend.expect("a.example: running → .*exit status unknown")
    backend.add("a.example")
    backend.get("a.example")
    leader = psutil.Process(backend.leader("a.example"))
    backend.process.kill()
    backend.process.wait()
    leader.kill()
    backend.start()
    eventually(lambda: backend.state("a.example") in ("parked", "throttled"))
    eventually(lambda: backend.get("a.example").status == 200)


def test_an_app_that_is_on_its_way_out_goes(backend: Backend) -> None:
    gate = backend.folder / "gate"
    os.mkfifo(gate)
    backend.add("a.example", hook_as_user_atexit=ends_after(f"cat {gate}"))
    backend.get("a.example")
    backend.remove("a.example")
    eventually(lambda: backend.lines("a.example: running → stopping: its ini is gone"))
    assert backend.children()
    backend.crash()
    assert not backend.lines("stopping → (?!gone)")
    gate.write_bytes(b"")
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
    before = {domain: backend.leader(domain) for domain in ("same.example", "changed.example")}
    backend.process.kill()
    backend.process.wait()
    backend.drop("changed.example", backend.ini("changed.example", idle="77"))
    backend.drop("new.example", backend.ini("new.example"))
    backend.remove("gone.example")
    backend.start()
    eventually(lambda: backend.state("gone.example") is None)
    assert backend.state("new.example") == "parked"
    eventually(lambda: backend.leader("changed.example") != before["changed.example"])
    assert backend.leader("same.example") == before["same.example"]


def test_a_reload_under_way_is_finished(backend: Backend) -> None:
    gate = backend.folder / "gate"
    gate.touch()
    backend.add("a.example", env=f"GATE={gate}")
    old = backend.get("a.example").text
    gate.unlink()
    (backend.vassals / "a.example.ini").touch()
    eventually(lambda: backend.state("a.example") == "reloading")
    backend.crash()
    gate.touch()
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


# Entries that the next daemon cannot use.


@contextmanager
def words_in(store: FdStore) -> Iterator[tuple[Bag, dict[str, StoreEntry]]]:
    """The bag and the entries that the next daemon would find, for a test to tamper with."""
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
    # The old app holds its socket until it has noticed that its emperor is gone.
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
    if whose == "vassals":
        # The old app answers until it has noticed that its emperor is gone.
        eventually(lambda: (served := answer(backend, "a.example")) and served != before)
    eventually(lambda: answer(backend, "b.example"))
    assert (eventually(lambda: answer(backend, "a.example")) == before) == (whose != "vassals")
    backend.crash()
    assert backend.get("a.example").status == 200, "and nothing of it is left"


def answer(backend: Backend, domain: str) -> str | None:
    """What the app answers, None when it is not served."""
    reply = backend.get(domain)
    return reply.text if reply.status == 200 else None
