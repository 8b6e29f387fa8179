"""A tenant who asks for more than there is waits for itself, and its neighbour does not."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants, hits
from tests.eventually import eventually
from tests.nginx_server import Nginx

HERS = "alice.example"
MOST_HELD = 40
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
    pipe = tenants.folder / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o666)
    for domain in MANY:
        tenants.drop_of(MALLORY, domain, include=str(pipe))
    eventually(lambda: readings(tenants) == 1, what="uWSGI reads one of them")
    tenants.host(ALICE, HERS, if_env="NO_SUCH", endif="")
    assert readings(tenants) <= 1
    assert len(tenants.lines("cannot serve mallory")) <= 2
    assert tenants.call("POST", "/v1/upgrade")[0] == 202
    eventually(lambda: tenants.lines("took over"), what="the new version serves")
    for domain in MANY:
        tenants.remove(domain)
    eventually(lambda: not readings(tenants), what="what is gone is not read on")
    assert tenants.get(HERS).status == 200
    tenants.remove(HERS)
    tenants.until(HERS, None)


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
