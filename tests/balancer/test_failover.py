"""A backend is gone or broken: which one answers, and what is asked twice."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.balancer.backends import ADDRESSES, Backend, BlackHole, three
from tests.balancer.fleet import BROKE_OFF, REFUSED, Fleet, running
from tests.balancer.lua import Lua
from tests.eventually import eventually_async
from tests.http_client import Request

SAFE = ["GET", "HEAD", "OPTIONS"]
UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "PURGE"]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_refused_request_is_answered_by_another_backend(
    fleet: Fleet, method: str, tls: bool
) -> None:
    fleet.balancer.expect(REFUSED)
    dead = fleet.backends[0]
    [host] = fleet.hosts(dead, 1)
    await dead.stop()
    reply = await fleet.ask(Request(host, method=method, body=b"once"), tls)
    assert fleet.by(reply) is not dead
    assert [heard.body for backend in fleet.backends for heard in backend.heard] == [b"once"]
    assert fleet.balancer.marks == [f"{dead.address} unreachable"]


async def test_a_backend_that_is_back_has_its_domains_again(fleet: Fleet) -> None:
    fleet.balancer.expect(REFUSED)
    dead = fleet.backends[1]
    [host] = fleet.hosts(dead, 1)
    await dead.stop()
    assert fleet.by(await fleet.ask(Request(host))) is not dead
    await dead.start()
    marks = [f"{dead.address} unreachable", f"{dead.address} well"]
    await eventually_async(lambda: fleet.balancer.marks == marks)
    assert fleet.by(await fleet.ask(Request(host))) is dead


async def test_a_domain_of_a_dead_backend_keeps_its_substitute(fleet: Fleet, luajit: Lua) -> None:
    fleet.balancer.expect(REFUSED)
    dead = fleet.backends[0]
    await dead.stop()
    hosts = fleet.hosts(dead, 30)
    orders = luajit("substitutes", hosts, ADDRESSES)
    expected = {
        host: ADDRESSES[int(order.split()[0]) - 1]
        for host, order in zip(hosts, orders, strict=True)
    }
    for _ in range(2):
        replies = {host: await fleet.ask(Request(host)) for host in hosts}
        assert {host: fleet.by(reply).address for host, reply in replies.items()} == expected
    assert fleet.balancer.marks == [f"{dead.address} unreachable"]


async def test_the_other_backends_keep_their_domains(fleet: Fleet) -> None:
    fleet.balancer.expect(REFUSED)
    dead, *others = fleet.backends
    await dead.stop()
    for backend in others:
        for host in fleet.hosts(backend, 5):
            assert fleet.by(await fleet.ask(Request(host))) is backend


@pytest.mark.parametrize("method", SAFE)
async def test_a_safe_request_is_repeated_elsewhere_and_nobody_marked(
    fleet: Fleet, method: str
) -> None:
    fleet.balancer.expect(BROKE_OFF)
    broken = fleet.backends[0]
    broken.answer = broken.close
    reply = await fleet.ask(Request(fleet.hosts(broken, 1)[0], method=method))
    assert reply.status == 200
    assert [len(backend.heard) for backend in fleet.backends[1:]] in ([0, 1], [1, 0])
    assert fleet.balancer.marks == []


async def test_a_safe_request_is_repeated_on_the_only_backend_left(
    fleet: Fleet,
) -> None:
    fleet.balancer.expect(REFUSED)
    fleet.balancer.expect(BROKE_OFF)
    own, *others = fleet.backends
    for backend in others:
        await backend.stop()
        await fleet.ask(Request(fleet.hosts(backend, 1)[0]))
    own.answer = own.close_once
    own.heard.clear()
    assert fleet.by(await fleet.ask(Request(fleet.hosts(own, 1)[0]))) is own
    assert len(own.heard) == 2


@pytest.mark.parametrize("method", UNSAFE)
async def test_an_unsafe_request_that_was_seen_is_not_repeated(fleet: Fleet, method: str) -> None:
    fleet.balancer.expect(BROKE_OFF)
    fleet.balancer.expect("no live upstreams")
    broken = fleet.backends[0]
    broken.answer = broken.close
    request = Request(fleet.hosts(broken, 1)[0], method=method, body=b"transfer")
    assert (await fleet.ask(request)).status == 502
    assert len(broken.heard) == 1
    assert [backend.heard for backend in fleet.backends[1:]] == [[], []]
    assert fleet.balancer.marks == []


@pytest.mark.parametrize("method", UNSAFE)
async def test_an_unsafe_request_refused_then_seen_goes_to_no_third(
    fleet: Fleet, method: str
) -> None:
    for line in (REFUSED, BROKE_OFF, "no live upstreams"):
        fleet.balancer.expect(line)
    dead, *others = fleet.backends
    await dead.stop()
    for backend in others:
        backend.answer = backend.close
    request = Request(fleet.hosts(dead, 1)[0], method=method, body=b"transfer")
    assert (await fleet.ask(request)).status == 502
    assert sum(len(backend.heard) for backend in others) == 1
    assert fleet.balancer.marks == [f"{dead.address} unreachable"]


async def test_a_safe_request_is_tried_at_most_once_on_each_backend(
    fleet: Fleet,
) -> None:
    fleet.balancer.expect(BROKE_OFF)
    for backend in fleet.backends:
        backend.answer = backend.close
    assert (await fleet.ask(Request("app.example"))).status == 502
    assert [len(backend.heard) for backend in fleet.backends] == [1, 1, 1]
    assert fleet.balancer.marks == []


async def test_connections_that_were_kept_add_no_attempts(folder: Path) -> None:
    """nginx by itself allows one more for each that has gone stale."""
    async with running(folder, three(), {"worker_processes auto": "worker_processes 1"}) as fleet:
        fleet.balancer.expect(BROKE_OFF)
        fleet.balancer.expect("no live upstreams")
        held = asyncio.Event()

        async def hold(request: web.BaseRequest) -> web.StreamResponse:
            await held.wait()
            return web.Response()

        for backend in fleet.backends:
            backend.answer = hold
        hosts = [host for backend in fleet.backends for host in fleet.hosts(backend, 2)]
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                group.create_task(fleet.ask(Request(host)))
            await eventually_async(
                lambda: sum(len(backend.heard) for backend in fleet.backends) == len(hosts)
            )
            held.set()
        for backend in fleet.backends:
            backend.heard.clear()
            backend.answer = backend.close
        assert (await fleet.ask(Request("app.example"))).status == 502
        assert [len(backend.heard) for backend in fleet.backends] == [1, 1, 1]


async def test_many_requests_that_are_refused_at_once_leave_one_mark(fleet: Fleet) -> None:
    fleet.balancer.expect(REFUSED)
    dead = fleet.backends[2]
    await dead.stop()
    async with asyncio.TaskGroup() as group:
        replies = [group.create_task(fleet.ask(Request(host))) for host in fleet.hosts(dead, 30)]
    assert dead not in {fleet.by(reply.result()) for reply in replies}
    assert fleet.balancer.marks == [f"{dead.address} unreachable"]


async def test_a_backend_without_connections_is_passed_over(
    folder: Path,
) -> None:
    gone, *others = BlackHole("127.0.0.11"), Backend("127.0.0.12"), Backend("127.0.0.13")
    async with running(folder, [gone, *others]) as fleet:
        fleet.balancer.expect(r"upstream timed out .* while connecting to upstream")
        for host in fleet.hosts(gone, 3):
            assert fleet.by(await fleet.ask(Request(host, method="POST", body=b"x"))) in others
        assert fleet.balancer.marks == [f"{gone.address} unreachable"]
        assert await fleet.tries(3) == [1, 1, 2]


async def test_when_all_are_gone_it_is_502_until_one_is_back(fleet: Fleet) -> None:
    fleet.balancer.expect(REFUSED)
    for backend in fleet.backends:
        await backend.stop()
    for method in ("GET", "POST"):
        assert (await fleet.ask(Request("app.example", method=method))).status == 502
    assert sorted(fleet.balancer.marks) == [f"{address} unreachable" for address in ADDRESSES]
    back = fleet.backends[0]
    await back.start()
    assert fleet.by(await fleet.ask(Request("app.example"))) is back


async def test_an_unsafe_request_gets_a_fresh_connection(folder: Path) -> None:
    """It could not be repeated, though the backend has not seen it."""
    async with running(
        folder, [Backend("127.0.0.11")], {"worker_processes auto": "worker_processes 1"}
    ) as fleet:
        [backend] = fleet.backends
        connections = set()

        async def note(request: web.BaseRequest) -> web.StreamResponse:
            connections.add(request.transport)
            return await backend.well(request)

        backend.answer = note
        for method in UNSAFE:
            assert fleet.by(await fleet.ask(Request("app.example"))) is backend
            assert fleet.by(await fleet.ask(Request("app.example", method=method))) is backend
        assert len(connections) == 1 + len(UNSAFE)


@pytest.mark.parametrize("address", ["127.0.0.11", "::1"])
async def test_a_stale_kept_connection_is_replaced_and_asked_again(
    folder: Path, address: str
) -> None:
    # Each worker keeps connections of its own.
    async with running(
        folder, [Backend(address)], {"worker_processes auto": "worker_processes 1"}
    ) as fleet:
        fleet.balancer.expect(BROKE_OFF)
        [backend] = fleet.backends
        assert fleet.by(await fleet.ask(Request("app.example"))) is backend
        backend.answer = backend.close_once
        assert fleet.by(await fleet.ask(Request("app.example"))) is backend
        assert len(backend.heard) == 3


async def test_a_list_of_ipv6_addresses_fails_over(folder: Path) -> None:
    async with running(folder, [Backend("::1"), Backend("127.0.0.12")]) as fleet:
        fleet.balancer.expect(REFUSED)
        dead, other = fleet.backends
        host = fleet.hosts(dead, 1)[0]
        assert fleet.by(await fleet.ask(Request(host), tls=True)) is dead
        await dead.stop()
        assert fleet.by(await fleet.ask(Request(host), tls=True)) is other
        assert fleet.balancer.marks == ["[::1] unreachable"]


async def test_a_backend_without_http_harms_no_other_domain(fleet: Fleet) -> None:
    fleet.balancer.expect("upstream sent invalid header|upstream sent no valid HTTP/1.0 header")
    mad, *others = fleet.backends

    async def garbage(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nno header\x00\r\n\r\n")
        return await mad.close(request)

    mad.answer = garbage
    assert (await fleet.ask(Request(fleet.hosts(mad, 1)[0]))).status == 502
    for backend in others:
        assert fleet.by(await fleet.ask(Request(fleet.hosts(backend, 1)[0]))) is backend
    assert fleet.balancer.marks == []
