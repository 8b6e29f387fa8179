"""A visitor must not keep others from sites that sleep, nor fill the disk of nginx."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.attacks.tenants import ALICE, MALLORY, Tenants
from tests.balancer.fleet import Balancer
from tests.eventually import PATIENCE_SECONDS, eventually
from tests.http_client import Request, ask
from tests.nginx_server import free_ports

SLOW, SIBLING, HERS = "slow.example", "sibling.example", "alice.example"
# Addresses that are no balancer's: one of an attacker, one of another visitor.
ATTACKER, VISITOR = "127.0.0.66", "127.0.0.77"
# nginx/emperord/held.conf.
SHARE = 100
HALF_REQUESTS = 3000


async def _knock(port: int, host: str, headers: str = "") -> tuple[int, str]:
    """The status and the whole reply that the attacker gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(ATTACKER, 0))
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n".encode())
    reply = (await reader.read()).decode()
    writer.close()
    return int(reply.split()[1]), reply


async def test_a_visitor_has_a_share_of_held_requests(tenants: Tenants, folder: Path) -> None:
    port, gate = tenants.nginx.port, folder / "gate"
    for host in (SLOW, SIBLING):
        tenants.host(MALLORY, host, env=f"GATE={gate}")
    tenants.host(ALICE, HERS)
    hosts = [SLOW, SIBLING] * (SHARE // 2)
    flood = [asyncio.create_task(_knock(port, host)) for host in hosts]
    await asyncio.to_thread(_until_held, tenants, SHARE)
    more = await asyncio.gather(*(_knock(port, host) for host in (SLOW, HERS, "no.example")))
    assert [status for status, _ in more] == [429] * 3
    assert "Retry-After: 5\r\n" in more[0][1]
    status, page = await _knock(port, SLOW, "Accept: text/html\r\n")
    assert (status, "<h1>Too many requests</h1>" in page) == (429, True)
    assert "Content-Type: text/html\r\n" in page

    reply = await asyncio.to_thread(ask, port, Request(HERS), VISITOR)
    assert reply.status == 200, "another visitor has a share of its own"
    warm = await asyncio.gather(*(_knock(port, HERS) for _ in range(2 * SHARE)))
    assert Counter(status for status, _ in warm) == {200: 2 * SHARE}, "this app runs"
    gate.touch()
    assert Counter(status for status, _ in await asyncio.gather(*flood)) == {200: SHARE}


def _until_held(tenants: Tenants, count: int) -> None:
    def held() -> bool:
        status = tenants.call("GET", "/v1/status")[1]
        return bool(status["emperor"]["held"] == count)

    eventually(held, what=f"{count} requests are held")


@pytest.fixture(scope="module")
def ports(tenants: Tenants, folder: Path) -> Iterator[dict[str, int]]:
    """The ports of the backend and of a balancer in front of it."""
    place = folder / "balancer"
    place.mkdir()
    backend = tenants.nginx.port
    http, https = free_ports(2)
    with Balancer(place, [f"127.0.0.1:{backend}"], (http, https)) as balancer:
        yield {"backend": backend, "balancer": balancer.port}


def _target(link: Path) -> str:
    """What a descriptor is of; empty if it was closed meanwhile."""
    with suppress(FileNotFoundError):
        return os.readlink(link)
    return ""


def _stored_bodies(folder: Path) -> list[str]:
    """The files for bodies that any nginx of this test has open. They have no name any more."""
    opened: list[str] = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "nginx":
            with suppress(FileNotFoundError):  # it has ended
                opened += map(_target, Path(f"/proc/{process.pid}/fd").iterdir())
    return [name for name in opened if name.startswith(str(folder)) and "/body/" in name]


@pytest.mark.parametrize("where", ["backend", "balancer"])
@pytest.mark.parametrize(
    "framing", ["Content-Length: 98000000", "Transfer-Encoding: chunked"], ids=["sized", "chunked"]
)
async def test_no_body_is_stored_for_a_made_up_host(
    tenants: Tenants, folder: Path, ports: dict[str, int], where: str, framing: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ports[where])
    writer.write(f"POST / HTTP/1.1\r\nHost: no.example\r\n{framing}\r\n\r\n".encode())
    piece = bytes(100_000)
    is_chunked = "chunked" in framing
    writer.write(b"186a0\r\n" + piece + b"\r\n" if is_chunked else piece)
    # The answer comes before the end of the body, which never comes.
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)
    assert head.startswith(b"HTTP/1.1 404 ")
    assert not _stored_bodies(folder)
    writer.close()


async def test_made_up_hosts_add_nothing_to_the_metrics(tenants: Tenants) -> None:
    """Neither those that nobody serves, nor those for which a wildcard answers."""
    tenants.host(MALLORY, "_.many.example")
    hosts = [
        f"{number}.{end}" for number in range(20) for end in ("made-up.example", "many.example")
    ]
    odd = ['x"} 1\nemperord_evil{a="', "x\\", "{}", 'x",tenant="root']

    def series() -> set[str]:
        _, metrics = tenants.call("GET", "/metrics")
        lines = [line for line in metrics.splitlines() if line[0] != "#"]
        # This phase of a start is known later.
        return {line.rpartition(" ")[0] for line in lines if "first-reply" not in line}

    # Which statuses there are is known after the first of each kind.
    for host in (*hosts[:2], *odd):
        await _knock(tenants.nginx.port, host.replace("\n", ""))
    before = series()
    for host in hosts[2:]:
        await _knock(tenants.nginx.port, host)
    assert series() == before
    assert sum("vassal=" in each and "many.example" in each for each in before) in (3, 4)
    assert not any("evil" in each or "made-up" in each for each in before)


async def test_made_up_hosts_fill_no_error_log(tenants: Tenants) -> None:
    before = tenants.nginx.error_lines()
    hosts = [f"made-up-{number}.example" for number in range(50)]
    replies = await asyncio.gather(*(_knock(tenants.nginx.port, host) for host in hosts))
    assert Counter(status for status, _ in replies) == {404: 50}
    assert tenants.nginx.error_lines() == before


async def test_half_requests_keep_nobody_from_a_site(tenants: Tenants) -> None:
    domain = "half.example"
    tenants.host(ALICE, domain)
    halves = []
    for _ in range(HALF_REQUESTS):
        halves.append(await _connect(tenants.nginx.port))
        halves[-1].write(f"GET / HTTP/1.1\r\nHost: {domain}\r\nX-Half: ".encode())
    reply = await asyncio.to_thread(ask, tenants.nginx.port, Request(domain), VISITOR)
    assert reply.status == 200, "it wakes"
    assert not any(half.is_closing() for half in halves), "they still wait"
    for half in halves:
        half.transport.abort()
    tenants.remove(domain)
    await asyncio.to_thread(tenants.until, domain, None)


async def _connect(port: int) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(ATTACKER, 0))
    return writer
