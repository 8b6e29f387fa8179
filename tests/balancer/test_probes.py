"""Balancers probe each backend: a mark is renewed or lifted by what the probe is answered."""

import asyncio
from functools import partial
from pathlib import Path

from tests.balancer.backends import three
from tests.balancer.fleet import REFUSED, Fleet, running
from tests.eventually import eventually, eventually_async
from tests.http_client import Request, ask


async def test_an_unwell_backend_is_spared_while_another_is_well(
    fleet: Fleet,
) -> None:
    fleet.balancer.expect(REFUSED)
    unwell, *others = fleet.backends
    [host] = fleet.hosts(unwell, 1)
    unwell.health = 503
    await eventually_async(lambda: fleet.balancer.marked_twice == 1)
    assert fleet.balancer.marks == [f"{unwell.address} unwell"]
    assert "its health probe says 503 draining" in "\n".join(fleet.balancer.error_lines())
    assert fleet.by(await fleet.ask(Request(host))) is not unwell
    for backend in others:
        await backend.stop()
    for _ in range(2):
        assert fleet.by(await fleet.ask(Request(host, method="POST"))) is unwell
    assert (await fleet.tries(3))[:2] == [1, 1]


async def test_when_all_are_unwell_each_keeps_its_domains(fleet: Fleet) -> None:
    for backend in fleet.backends:
        backend.health = 503
    await eventually_async(lambda: fleet.balancer.marked_twice == len(fleet.backends))
    for backend in fleet.backends:
        for host in fleet.hosts(backend, 3):
            assert fleet.by(await fleet.ask(Request(host))) is backend


async def test_a_probe_that_was_asked_before_a_mark_does_not_lift_it(fleet: Fleet) -> None:
    fleet.balancer.expect(REFUSED)
    dying, other, _ = fleet.backends
    dying.may_tell.clear()
    asked = len(dying.probes)
    await eventually_async(lambda: len(dying.probes) > asked)
    await dying.refuse()
    assert fleet.by(await fleet.ask(Request(fleet.hosts(dying, 1)[0]))) is not dying
    dying.may_tell.set()
    rounds = len(other.probes) + 2
    await eventually_async(lambda: len(other.probes) >= rounds)
    assert fleet.balancer.marks == [f"{dying.address} unreachable"]


async def test_every_backend_is_probed_on_the_balancers_own_behalf(fleet: Fleet) -> None:
    await eventually_async(lambda: all(len(backend.probes) > 1 for backend in fleet.backends))
    for backend in fleet.backends:
        for probe in backend.probes:
            assert probe.line == "GET /emperord-health"
            assert probe.headers.keys() == {"host"}
    assert fleet.balancer.marks == []


async def test_the_first_probes_are_sent_at_once(folder: Path) -> None:
    backends = three()
    for backend in backends:
        backend.health = 503
    async with running(folder, backends, {"INTERVAL = 2": "INTERVAL = 3600"}) as fleet:
        await eventually_async(lambda: fleet.balancer.marked_twice == len(backends))
        assert len(fleet.balancer.marks) == len(backends)
        # A single worker sends the probes: one for each scheme.
        assert [len(backend.probes) for backend in backends] == [2, 2, 2]


async def test_a_mark_that_no_probe_renews_goes_by_itself(folder: Path) -> None:
    unprobed = {"INTERVAL = 2": "INTERVAL = 3600", "SECONDS = 10": "SECONDS = 1"}
    async with running(folder, three(), unprobed) as fleet:
        fleet.balancer.expect(REFUSED)
        dead = fleet.backends[0]
        host = fleet.hosts(dead, 1)[0]
        await eventually_async(lambda: dead.probes)
        await dead.stop()
        assert fleet.by(await fleet.ask(Request(host))) is not dead
        await dead.start()
        answer = partial(ask, fleet.balancer.port, Request(host))
        await asyncio.to_thread(eventually, lambda: answer().text == dead.address)


async def test_a_visitor_cannot_probe(fleet: Fleet) -> None:
    """Its request comes with the header that a backend knows a visitor by."""
    reply = await fleet.ask(Request("app.example", "/emperord-health"))
    [heard] = fleet.by(reply).heard
    assert heard.headers["x-forwarded-for"] == "127.0.0.1"
