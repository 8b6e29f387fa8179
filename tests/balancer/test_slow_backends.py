"""Backends and apps that are slow, or hang: which one is marked, and how long a visitor waits."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.balancer.backends import Backend, three
from tests.balancer.fleet import BROKE_OFF, Fleet, running
from tests.eventually import eventually_async
from tests.http_client import Request


async def test_a_slow_app_marks_nobody_and_keeps_nobody_waiting(fleet: Fleet) -> None:
    slow = fleet.backends[0]
    released = asyncio.Event()

    async def wait(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers["Host"] == patient:
            await released.wait()
        return await slow.well(request)

    patient, *others = fleet.hosts(slow, 20)
    slow.answer = wait
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(fleet.ask(Request(patient)))
        await eventually_async(lambda: slow.heard)
        for host in others:
            assert fleet.by(await fleet.ask(Request(host))) is slow
        released.set()
    assert fleet.by(waits.result()) is slow
    assert fleet.balancer.marks == []


async def test_a_request_that_is_too_slow_everywhere_marks_nobody(folder: Path) -> None:
    impatient = {"proxy_read_timeout 370s": "proxy_read_timeout 1s"}
    async with running(folder, three(), impatient) as fleet:
        fleet.balancer.expect(r"upstream timed out .* while reading response header")
        for backend in fleet.backends:
            backend.answer = backend.hang
        assert (await fleet.ask(Request("slow.example"))).status == 504
        for backend in fleet.backends:
            backend.answer = backend.well
            [host] = fleet.hosts(backend, 1)
            assert fleet.by(await fleet.ask(Request(host))) is backend
        assert fleet.balancer.marks == []


async def test_a_slow_app_is_not_asked_again_when_its_time_is_over(folder: Path) -> None:
    """In the shipped proportions: the time for repeating is over long before that of an answer."""
    quick = {
        "proxy_read_timeout 370s": "proxy_read_timeout 370ms",
        "proxy_next_upstream_timeout 30s": "proxy_next_upstream_timeout 30ms",
    }
    async with running(folder, three(), quick) as fleet:
        fleet.balancer.expect(r"upstream timed out .* while reading response header")
        for backend in fleet.backends:
            backend.answer = backend.hang
        assert (await fleet.ask(Request("slow.example"))).status == 504
        assert sum(len(backend.heard) for backend in fleet.backends) == 1


@pytest.mark.parametrize("address", ["127.0.0.11", "::1"])
async def test_a_hanging_backend_keeps_no_request_for_long(folder: Path, address: str) -> None:
    """A slow app of a backend that answers its probes has its time."""
    quick = {"TIMEOUT_MS = 15000": "TIMEOUT_MS = 1000", "SILENT = 20": "SILENT = 1"}
    async with running(folder, [Backend(address), *three()[1:]], quick) as fleet:
        fleet.balancer.expect(BROKE_OFF)
        fleet.balancer.expect("no live upstreams")
        hanging, slow, _ = fleet.backends
        [host], [patient] = fleet.hosts(hanging, 1), fleet.hosts(slow, 1)
        released = asyncio.Event()

        async def wait(request: web.BaseRequest) -> web.StreamResponse:
            if request.headers["Host"] == patient:
                await released.wait()
            return await slow.well(request)

        hanging.answer, slow.answer = hanging.hang, wait
        async with asyncio.TaskGroup() as group:
            get = group.create_task(fleet.ask(Request(host)))
            secured = group.create_task(fleet.ask(Request(host), tls=True))
            post = group.create_task(fleet.ask(Request(host, method="POST", body=b"once")))
            waits = group.create_task(fleet.ask(Request(patient, method="POST")))
            await eventually_async(lambda: len(hanging.heard) == 3 and slow.heard)
            hanging.may_tell.clear()
            await asyncio.wait([get, secured, post])
            assert not waits.done()
            released.set()
        assert fleet.by(get.result()) is fleet.by(secured.result()) is not hanging
        assert post.result().status == 502
        assert fleet.by(waits.result()) is slow
