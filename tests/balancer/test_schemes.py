"""A backend that fails over one scheme alone: its port for the other one is used as before."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.balancer.backends import Backend, Frozen, Mute
from tests.balancer.fleet import REFUSED, Fleet, running
from tests.eventually import eventually, eventually_async
from tests.http_client import Request, ask

# A mute port is found within a second by its probe too.
QUICK = {"TIMEOUT_MS = 15000": "TIMEOUT_MS = 1000"}


class HttpOnly(Backend):
    """It serves no https."""

    async def start(self) -> None:
        """Listen."""
        await self.listen(self.ports[0], None)


def two(first: Backend) -> Sequence[Backend]:
    return [first, Backend("127.0.0.12")]


def said(fleet: Fleet, of: Backend) -> list[str]:
    """What the error log says of a backend, without the cause."""
    lines = [line for line in fleet.balancer.error_lines() if f"backend {of.address}" in line]
    return [line.split(f"backend {of.address}")[1].strip().split(":")[0] for line in lines]


async def test_a_port_for_https_that_says_nothing_is_passed_over(folder: Path) -> None:
    mute, other = two(Mute("127.0.0.11"))
    async with running(folder, [mute, other]) as fleet:
        fleet.balancer.expect("upstream timed out .* while SSL handshaking to upstream")
        [host] = fleet.hosts(mute, 1)
        for _ in range(3):
            assert fleet.by(await fleet.ask(Request(host), tls=True)) is other
        # An answer over http lifts no mark of https.
        probed = len(mute.probes)
        await eventually_async(lambda: len(mute.probes) > probed + 2)
        for method in ("GET", "POST"):
            assert fleet.by(await fleet.ask(Request(host, method=method), tls=True)) is other
            assert fleet.by(await fleet.ask(Request(host, method=method))) is mute
        assert await fleet.tries(7) == [1, 1, 1, 1, 1, 1, 2]
        assert said(fleet, mute) == ["is unreachable over https"]


async def test_a_port_that_says_nothing_is_found_by_its_probe(folder: Path) -> None:
    mute, other = two(Mute("127.0.0.11"))
    async with running(folder, [mute, other], QUICK) as fleet:
        await eventually_async(lambda: "is unreachable over https" in said(fleet, mute))
        [host] = fleet.hosts(mute, 1)
        assert fleet.by(await fleet.ask(Request(host), tls=True)) is other
        assert await fleet.tries(1) == [1]


async def test_a_dead_port_for_http_leaves_https_alone(folder: Path) -> None:
    half, other = two(Backend("127.0.0.11"))
    async with running(folder, [half, other]) as fleet:
        fleet.balancer.expect(REFUSED)
        [host] = fleet.hosts(half, 1)
        await half.refuse(half.ports[0])
        port = fleet.balancer.tls_port
        for _ in range(2):
            assert fleet.by(await fleet.ask(Request(host))) is other
            # Its port for https is avoided until it has answered a probe.
            asked = partial(ask, port, Request(host), tls=True)
            await asyncio.to_thread(eventually, lambda asked=asked: asked().text == half.address)
        for _ in range(3):
            assert fleet.by(await fleet.ask(Request(host), tls=True)) is half
        assert said(fleet, half) == ["is unreachable over http"]


async def test_a_hanging_machine_is_passed_over_by_both_schemes(folder: Path) -> None:
    frozen, other = two(Frozen("127.0.0.11"))
    # Its probes take 15 s, and a handshake is given up after 2 s.
    patient = {"SUSPECTED_SECONDS = 3": "SUSPECTED_SECONDS = 60"}
    async with running(folder, [frozen, other], patient) as fleet:
        fleet.balancer.expect("upstream timed out .* while SSL handshaking to upstream")
        [host] = fleet.hosts(frozen, 1)
        assert fleet.by(await fleet.ask(Request(host), tls=True)) is other
        assert said(fleet, frozen) == ["is unreachable over https"]
        assert fleet.by(await fleet.ask(Request(host))) is other
        assert await fleet.tries(2) == [1, 2]


async def test_a_machine_is_told_of_once_and_well_with_both(folder: Path) -> None:
    lost, other = two(Backend("127.0.0.11"))
    async with running(folder, [lost, other]) as fleet:
        fleet.balancer.expect(REFUSED)
        await lost.stop()
        await eventually_async(lambda: len(said(fleet, lost)) == 2)
        first, then = said(fleet, lost)
        assert first.startswith("is unreachable over http")
        assert then.startswith(", likewise over http")
        await lost.start()
        await eventually_async(lambda: len(said(fleet, lost)) == 4)
        *_, first, then = said(fleet, lost)
        assert first.startswith("can be used again over http")
        assert " it is still unreachable" in first
        assert then.startswith("is well again, no longer unreachable")


async def test_http_is_warned_of_where_https_was_never_served(folder: Path) -> None:
    lost, other = two(HttpOnly("127.0.0.11"))
    old_news = {"NEWS_SECONDS = 30": "NEWS_SECONDS = -1"}
    async with running(folder, [lost, other], old_news) as fleet:
        fleet.balancer.expect(REFUSED)
        await eventually_async(lambda: said(fleet, lost) == ["is unreachable over https"])
        await lost.stop()
        await fleet.ask(Request(fleet.hosts(lost, 1)[0]))
        assert said(fleet, lost) == ["is unreachable over https", "is unreachable over http"]


async def test_a_backend_may_be_unwell_over_one_scheme(folder: Path) -> None:
    backend, other = two(Backend("127.0.0.11"))
    async with running(folder, [backend, other]) as fleet:
        backend.health_over_tls = 503
        await eventually_async(lambda: "is unwell over https" in said(fleet, backend))
        [host] = fleet.hosts(backend, 1)
        assert fleet.by(await fleet.ask(Request(host), tls=True)) is other
        assert fleet.by(await fleet.ask(Request(host))) is backend
        backend.health_over_tls = None
        await eventually_async(lambda: "is well again" in "".join(said(fleet, backend)))
        assert fleet.by(await fleet.ask(Request(host), tls=True)) is backend
