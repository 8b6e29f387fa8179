"""A tenant who asks for more than there is waits for itself, and its neighbour does not."""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from emperor.linux.watch import PACE
from tests.attacks.peers import as_tenant
from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants, hits
from tests.eventually import eventually, eventually_async
from tests.linux.watched_folder import EVERYTHING, Watched
from tests.nginx_server import Nginx

HERS = "alice.example"
MOST_HELD = 40
TOUCH = """\
import os, sys
print("begun", flush=True)
while True:
    for file in sys.argv[1:]:
        os.utime(file)
"""
# A quarter for looks at the folder, where the kernel's queue is full at each of them, and a tenth
# for readings, which have a bound of their own.
MOST_OF_A_CORE = 0.35
_READ_AGAIN = "mallory.* its ini changed"
MANY = [f"mallory{number}.example" for number in range(24)]


@contextmanager
def visitors(tenants: Tenants, hosts: list[str], each: int = 1) -> Iterator[None]:
    """Browsers that ask for these hosts and wait, so many for each."""
    with ExitStack() as stack:
        for host in hosts * each:
            visitor = socket.create_connection(("127.0.0.1", tenants.nginx.port))
            stack.enter_context(visitor)
            head = f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n"
            visitor.sendall(head.encode())
        yield


@pytest.fixture(scope="module")
def tenants(folder: Path) -> Iterator[Tenants]:
    """The daemon and nginx, with no app yet. The daemon holds few requests."""
    with Nginx(folder) as nginx, Tenants(folder, nginx, max_held=str(MOST_HELD)) as tenants:
        yield tenants


@pytest.fixture
def slow(tenants: Tenants) -> Iterator[list[str]]:
    """The domains of mallory's apps, whose boots do not end."""
    for domain in MANY:
        tenants.host(MALLORY, domain, env=f"GATE={tenants.folder / 'never'}")
    tenants.expect("mallory.* cannot find mallory.*ini: No such file")  # its turn, and it is gone
    yield MANY
    for domain in MANY:
        tenants.remove(domain)
    for domain in MANY:
        tenants.until(domain, None)


@pytest.fixture
def hers(tenants: Tenants) -> Iterator[str]:
    """Alice's domain, whose app sleeps."""
    tenants.host(ALICE, HERS)
    yield HERS
    tenants.remove(HERS)
    tenants.until(HERS, None)


def held(tenants: Tenants) -> int:
    """How many requests the daemon holds."""
    number = tenants.call("GET", "/v1/status")[1]["emperor"]["held"]
    assert isinstance(number, int)
    return number


def readings(tenants: Tenants) -> int:
    """How many uWSGIs read an ini of mallory's."""
    found = 0
    for process in tenants.children():
        with suppress(psutil.Error):
            is_reading = "callint:show_config" in " ".join(process.cmdline())
            found += is_reading and process.uids().real == UIDS[MALLORY]
    return found


def starting(tenants: Tenants) -> tuple[int, int]:
    """How many of mallory's apps boot, and how many wait for a place."""
    vassals = tenants.call("GET", "/v1/status")[1]["vassals"]
    waiting = [
        vassal["boot_position"] is not None for vassal in vassals if vassal["uid"] == UIDS[MALLORY]
    ]
    states = [vassal["state"] == "starting" for vassal in vassals if vassal["uid"] == UIDS[MALLORY]]
    return sum(states) - sum(waiting), sum(waiting)


def test_held_requests_give_way_to_a_neighbours(
    tenants: Tenants, slow: list[str], hers: str
) -> None:
    tenants.expect(f"requests are held for apps of uid {UIDS[MALLORY]}, .*max-held")
    with visitors(tenants, slow[:2], each=MOST_HELD // 2):
        eventually(lambda: held(tenants) == MOST_HELD, what="no request more can be held")
        assert tenants.get(hers).status == 200, "her app was asleep, and she is held until it boots"
        assert hits(tenants, "max-held") >= 1
        assert held(tenants) < MOST_HELD


def test_inis_that_hang_keep_no_neighbours_ini_unread(tenants: Tenants) -> None:
    """Nor an upgrade. uWSGI hangs on each of them for ten seconds."""
    tenants.expect("cannot serve mallory.*ini: ")
    pipe = tenants.folder / "pipe.ini"
    os.mkfifo(pipe)
    for domain in MANY:
        tenants.drop_of(MALLORY, domain, include=str(pipe))
    eventually(lambda: readings(tenants) == 1, what="uWSGI reads one of them")
    tenants.host(ALICE, HERS, if_env="NO_SUCH", endif="")
    assert readings(tenants) <= 1
    assert len(tenants.lines("cannot serve mallory")) <= 2, "the machine may be busy"
    assert tenants.call("POST", "/v1/upgrade")[0] == 202
    eventually(lambda: tenants.lines("took over"), what="the new version serves")
    for domain in MANY:
        tenants.remove(domain)
    eventually(lambda: not readings(tenants), what="what is gone is not read on")
    assert tenants.get(HERS).status == 200
    tenants.remove(HERS)
    tenants.until(HERS, None)


def inis_of(tenants: Tenants, domains: list[str]) -> list[Path]:
    """The inis of these domains."""
    return [tenants.vassals / f"{domain}.ini" for domain in domains]


@contextmanager
def touching(inis: list[Path]) -> Iterator[None]:
    """Mallory changes the times of these files as fast as she can."""
    command = as_tenant(MALLORY, "/usr/bin/python3", "-c", TOUCH, *map(str, inis))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as storm:
        assert storm.stdout
        assert storm.stdout.readline()
        try:
            yield
        finally:
            storm.kill()


def wakes(tenants: Tenants, domain: str, times: int = 3) -> float:
    """Wake that app so often. Returns how much of the time the daemon has used a core."""
    daemon = psutil.Process(tenants.process.pid)
    used, began = sum(daemon.cpu_times()[:2]), time.monotonic()
    for _ in range(times):
        assert tenants.get(domain).status == 200
        assert tenants.call("POST", f"/v1/vassals/{domain}/sleep")[0] == 200
    return (sum(daemon.cpu_times()[:2]) - used) / (time.monotonic() - began)


def test_a_storm_of_touches_costs_its_author_alone(tenants: Tenants, hers: str) -> None:
    inis = MANY[:2]
    for domain in inis:
        tenants.host(MALLORY, domain)
        assert tenants.get(domain).status == 200
    quiet, began = wakes(tenants, hers), time.monotonic()
    with touching(inis_of(tenants, inis)):
        assert wakes(tenants, hers) < quiet + MOST_OF_A_CORE
        most = 25 + 2 * (time.monotonic() - began)
        for domain in inis:
            vassal = tenants.vassal(domain)
            assert vassal
            assert vassal["starts"] <= most
            assert len(tenants.lines(f" {domain}: ")) <= 200 + most
    for domain in inis:
        tenants.remove(domain)
    for domain in inis:
        tenants.until(domain, None)


def is_told(watched: Watched, name: str, since: int) -> bool:
    """Whether that name was told. Everything is where the kernel has lost events."""
    return name in watched.names() or EVERYTHING in watched.seen[since:]


async def test_a_storm_of_touches_keeps_no_neighbour_waiting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon looks at the folder again after some milliseconds at most."""
    watched = Watched(folder / "touched")
    watched.folder.mkdir()
    mallorys = [watched.folder / f"mallory{number}.ini" for number in range(20)]
    for ini in mallorys:
        ini.touch()
        os.chown(ini, UIDS[MALLORY], -1)
    watched.watch()
    loop, rests = asyncio.get_running_loop(), []
    later = loop.call_later

    def call_later(delay: float, callback: Any, *args: Any) -> asyncio.TimerHandle:
        if callback == watched.watches[0]._listen:
            rests.append(delay)
        return later(delay, callback, *args)

    monkeypatch.setattr(loop, "call_later", call_later)
    with touching(mallorys):
        for number in range(30):
            alices, before = watched.folder / f"alice{number}.ini", len(watched.seen)
            alices.touch()
            await eventually_async(partial(is_told, watched, alices.name, before))
    watched.close()
    assert rests
    assert max(rests) <= PACE.most_seconds


def test_a_storm_of_touches_of_many_inis_costs_as_one(tenants: Tenants, hers: str) -> None:
    inis = [f"mallory{number}.example" for number in range(60)]
    before = len(tenants.lines(_READ_AGAIN))
    for domain in inis:
        tenants.drop_of(MALLORY, domain)
    for domain in inis:
        tenants.until(domain, "parked")
    quiet, began = wakes(tenants, hers), time.monotonic()
    with touching(inis_of(tenants, inis)):
        assert wakes(tenants, hers) < quiet + MOST_OF_A_CORE
    # The first reading of each, those in a row, and five a second.
    most = len(inis) + 100 + 10 * (time.monotonic() - began)
    assert len(tenants.lines(_READ_AGAIN)) - before <= most
    for domain in inis:
        tenants.remove(domain)
    for domain in inis:
        tenants.until(domain, None)


def test_a_storm_of_bytes_costs_its_author_alone(tenants: Tenants, hers: str) -> None:
    told = "mallory0.example: it sends bytes to emperord without end"
    tenants.expect(told)
    tenants.host(MALLORY, MANY[0], "storm.py", enable_threads="true")
    quiet = wakes(tenants, hers)
    assert tenants.get(MANY[0]).status == 200
    eventually(lambda: tenants.lines(told), what="the storm has begun")
    assert wakes(tenants, hers) < quiet + 0.1
    assert len(tenants.lines(told)) == 1
    tenants.remove(MANY[0])
    tenants.until(MANY[0], None)


def test_slow_boots_leave_a_place_to_a_neighbour(
    tenants: Tenants, slow: list[str], hers: str
) -> None:
    with visitors(tenants, slow):
        eventually(lambda: sum(starting(tenants)) == len(slow), what="all of them want to boot")
        booting, _ = starting(tenants)
        assert booting < len(slow)
        assert tenants.get(hers).status == 200
        assert tenants.detail(hers)["wake"]["turn_ms"] is None, "she has not waited for a place"
        queued = tenants.detail(slow[-1])
        assert queued["places_taken"] <= queued["places"]
