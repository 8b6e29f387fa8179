"""Members of etcd that are killed, stopped, slow or alone: what is still answered, and that a watch
has no gap."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace

import psutil
import pytest

from emperor.model.once import LEASE_SECONDS, RENEW_SECONDS
from emperor.model.registry_keys import Keys
from emperor.registry.etcd import Etcd
from emperor.registry.port import CannotReach, Changes
from tests.etcd_cluster import EtcdCluster, Member, etcd_cluster
from tests.eventually import eventually_async
from tests.registry.history import under_way
from tests.registry.slow_link import slow_link

KEYS = Keys("/emperord/losses")
KEY = KEYS.vassal("www.example.com")
IMPATIENT = 2.0


@pytest.fixture(scope="module")
def running() -> Iterator[EtcdCluster]:
    """One cluster for all tests."""
    with etcd_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(running: EtcdCluster) -> Iterator[EtcdCluster]:
    """All members are up at the beginning of each test, and what it has written is gone."""
    yield running
    for member in running.members:
        if member.process is None:
            member.start()
        member.resume()
    running.until_healthy()
    running.etcdctl("del", "--prefix", "/emperord/")


@pytest.fixture
async def engine(cluster: EtcdCluster) -> AsyncIterator[Etcd]:
    """An engine that gives up soon."""
    async with Etcd(cluster.access, IMPATIENT) as engine:
        yield engine


@pytest.mark.parametrize("role", ["leader", "follower"])
async def test_a_member_is_killed_under_way(cluster: EtcdCluster, role: str) -> None:
    async with Etcd(cluster.access) as one, Etcd(cluster.access) as other:
        async with under_way(one, other) as history:
            await eventually_async(lambda: len(history.told) > 20)
            (cluster.leader() if role == "leader" else cluster.followers()[0]).kill()
            seen = len(history.acknowledged)
            await eventually_async(lambda: len(history.acknowledged) > seen + 50)
            await eventually_async(history.is_complete)
        history.check()
        assert not history.in_doubt


async def test_each_member_in_turn_is_killed_and_returns(cluster: EtcdCluster) -> None:
    async with Etcd(cluster.access) as one, Etcd(cluster.access) as other:
        async with under_way(one, other) as history:
            for member in cluster.members:
                member.kill()
                seen = len(history.acknowledged)
                await eventually_async(lambda: len(history.acknowledged) > seen + 20)  # noqa: B023
                member.start()
                await asyncio.to_thread(cluster.until_healthy)
                await eventually_async(history.is_complete)
        history.check()
        assert not history.in_doubt


async def test_without_a_quorum_reads_are_answered(cluster: EtcdCluster, engine: Etcd) -> None:
    revision = await engine.put({KEY: b"1"}, {})
    await asyncio.to_thread(cluster.until_level)
    for member in cluster.members[:2]:
        member.kill()
    found = await engine.get(KEY)
    assert found and found.value == b"1"
    assert (await engine.page(KEYS.vassals())).entries == (found,)
    with pytest.raises(CannotReach, match=cluster.members[0].address.client):
        await engine.put({KEY: b"2"}, {KEY: revision})
    with pytest.raises(CannotReach):
        await engine.grant(10)
    with pytest.raises(CannotReach):
        await engine.page(KEYS.vassals(), fresh=True)
    assert await engine.get(KEY) == found, "the token is kept, since no other could be had"
    cluster.members[0].start()
    await asyncio.to_thread(cluster.until_healthy)
    await engine.put({KEY: b"3"}, {})


async def test_all_members_are_killed_and_return(cluster: EtcdCluster, engine: Etcd) -> None:
    revision = await engine.put({KEY: b"1"}, {})
    for member in cluster.members:
        member.kill()
    began = time.monotonic()
    with pytest.raises(CannotReach, match="Connection refused") as caught:
        await engine.get(KEY)
    assert time.monotonic() - began < 1
    assert all(member.address.client in str(caught.value) for member in cluster.members)
    async with aclosing(engine.watch([KEYS.vassals()], revision)) as watch:
        with pytest.raises(CannotReach):
            await anext(watch)
    for member in cluster.members:
        member.start()
    await asyncio.to_thread(cluster.until_healthy)
    found = await engine.get(KEY)
    assert found and found.revision == revision


async def test_a_watch_outlives_all_members(cluster: EtcdCluster) -> None:
    async with Etcd(cluster.access, 60) as engine:
        start = await engine.put({KEY: b"1"}, {})
        async with aclosing(engine.watch([KEYS.vassals()], start)) as watch:
            assert await anext(watch) == Changes(start)
            for member in cluster.members:
                member.kill()
            for member in cluster.members:
                member.start()
            await engine.put({KEY: b"2"}, {})
            while not (changes := await anext(watch)).written:
                assert changes.revision == start
            assert changes.written[0].value == b"2"


@pytest.mark.parametrize("role", ["leader", "follower"])
async def test_a_member_that_hangs_is_left(cluster: EtcdCluster, role: str) -> None:
    """Its kernel accepts connections and acknowledges what is sent."""
    victim = cluster.leader() if role == "leader" else cluster.followers()[0]
    others = [each for each in cluster.members if each is not victim]
    access = cluster.access_to(victim, *others)
    async with Etcd(access, shuffle=_as_it_is) as one, Etcd(access, shuffle=_as_it_is) as other:
        async with under_way(one, other) as history:
            await eventually_async(lambda: len(history.told) > 20)
            victim.pause()
            seen = len(history.told)
            await eventually_async(lambda: len(history.told) > seen + 50, seconds=15)
            await eventually_async(history.is_complete)
        history.check()
    await _resume(victim)


async def test_a_member_that_hangs_costs_no_lease(cluster: EtcdCluster) -> None:
    """Another one is asked before the renewal is due again: an app that must not run twice is
    stopped after two that fail."""
    victim = cluster.followers()[0]
    others = [each for each in cluster.members if each is not victim]
    async with Etcd(cluster.access_to(victim, *others), shuffle=_as_it_is) as engine:
        lease = await engine.grant(LEASE_SECONDS)
        victim.pause()
        with suppress(TimeoutError):
            async with asyncio.timeout(RENEW_SECONDS):
                await engine.renew(lease)
        assert engine._members.by_preference()[0] != victim.address.client
        assert await engine.renew(lease)
    await _resume(victim)


async def test_a_watch_leaves_a_member_without_a_leader(cluster: EtcdCluster, engine: Etcd) -> None:
    """Alone, it would tell nothing for ever."""
    start = await engine.put({KEY: b"1"}, {})
    async with aclosing(engine.watch([KEYS.vassals()], start)) as watch:
        await anext(watch)
        await asyncio.to_thread(cluster.until_level)
        for member in cluster.members[:2]:
            member.kill()
        with pytest.raises(CannotReach, match=f"{cluster.members[2].address.client}: no leader"):
            async for changes in watch:
                assert changes == Changes(start)


async def test_a_slow_etcd_does_all_it_is_asked(cluster: EtcdCluster) -> None:
    """A quarter of a second each way: half a second to and fro."""
    async with AsyncExitStack() as links:
        ports = [
            await links.enter_async_context(slow_link(member.address.client_port, 0.25))
            for member in cluster.members
        ]
        slow = tuple(f"https://127.0.0.1:{port}" for port in ports)
        async with Etcd(replace(cluster.access, endpoints=slow)) as engine:
            start = await engine.put({KEY: b"1"}, {KEY: 0})
            async with aclosing(engine.watch([KEYS.vassals()], start)) as watch:
                assert await anext(watch) == Changes(start)
                lease = await engine.grant(30)
                for number in range(3):
                    await engine.put({KEYS.backend(f"10.0.0.{number}"): b"up"}, {}, lease)
                assert await engine.renew(lease)
                await engine.put({KEY: b"2"}, {KEY: start})
                assert (await anext(watch)).written[0].value == b"2"
            many = await asyncio.gather(*(engine.get(KEY) for _ in range(100)))
            assert {each.value for each in many if each} == {b"2"}


def _as_it_is(order: list[str]) -> None:
    """The first member of the list is asked first."""


async def _resume(member: Member) -> None:
    """Let it go on; then it ends the connections that were given up, and none is left."""
    member.resume()
    port = member.address.client_port

    def nothing_is_left() -> bool:
        links = psutil.Process().net_connections("tcp")
        return not any(link.raddr and link.raddr.port == port for link in links)

    await eventually_async(nothing_is_left)
