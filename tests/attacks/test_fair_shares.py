"""A tenant who asks for more than there is waits for itself, and its neighbour does not."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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
