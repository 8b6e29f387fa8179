"""etcd as the engine: a real cluster, with TLS and authentication."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from emperor.model.registry_keys import Keys
from emperor.registry.etcd import Etcd
from emperor.registry.port import Changes, Outdated, RegistryRefused
from tests.etcd_cluster import EtcdCluster, etcd_cluster

KEYS = Keys("/emperord/test")


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    """One whose members all live."""
    with etcd_cluster() as running:
        yield running


@pytest.fixture
async def etcd(cluster: EtcdCluster) -> AsyncIterator[Etcd]:
    """The engine; it finds no keys of an earlier test."""
    cluster.etcdctl("del", "--prefix", "/emperord/")
    async with Etcd(cluster.access) as engine:
        yield engine


async def test_a_key_is_written_only_at_the_expected_revision(etcd: Etcd) -> None:
    key = KEYS.vassal("www.example.com")
    assert await etcd.get(key) is None
    first = await etcd.put({key: b"one"}, {key: 0})
    with pytest.raises(Outdated, match=key):
        await etcd.put({key: b"another"}, {key: 0})
    second = await etcd.put({key: b"\xff\0two"}, {key: first})
    found = await etcd.get(key)
    assert found and (found.key, found.value, found.revision) == (key, b"\xff\0two", second)
    with pytest.raises(Outdated):
        await etcd.delete(key, first)
    assert await etcd.delete(key, second) > second
    assert await etcd.get(key) is None


async def test_a_span_is_read_by_pages(etcd: Etcd) -> None:
    names = [f"{number:03}.example.com" for number in range(25)]
    for name in names:
        await etcd.put({KEYS.vassal(name): name.encode()}, {})
    page = await etcd.page(KEYS.vassals(), 10)
    found = list(page.entries)
    sizes = [len(page.entries)]
    while page.following:
        page = await etcd.page(type(KEYS.vassals())(page.following, KEYS.vassals().end), 10)
        found += page.entries
        sizes.append(len(page.entries))
    assert sizes == [10, 10, 5]
    assert [each.key for each in found] == sorted(map(KEYS.vassal, names))


async def test_a_watch_tells_what_changes_in_its_spans_alone(etcd: Etcd) -> None:
    ours, other = "www.example.com", "other.example.com"
    start = await etcd.put({KEYS.vassal(ours): b"1"}, {})
    span = KEYS.bucket(int(KEYS.vassal(ours).split("/")[-2], 16))
    async with aclosing(etcd.watch([span, KEYS.backends()], start)) as watch:
        assert await anext(watch) == Changes(start)
        await etcd.put({KEYS.vassal(other): b"1"}, {})
        written = await etcd.put({KEYS.vassal(ours): b"2", KEYS.backend("10.0.0.1"): b"b"}, {})
        two = [await anext(watch), await anext(watch)]
        assert {each.key: each.value for item in two for each in item.written} == {
            KEYS.vassal(ours): b"2",
            KEYS.backend("10.0.0.1"): b"b",
        }
        gone = await etcd.delete(KEYS.backend("10.0.0.1"), written)
        assert (await anext(watch)).gone == (KEYS.backend("10.0.0.1"),)
        assert gone > written


async def test_a_watch_may_have_all_buckets(etcd: Etcd) -> None:
    start = await etcd.put({KEYS.slots(): b""}, {})
    spans = [KEYS.bucket(number) for number in range(0, 4096, 2)]
    async with aclosing(etcd.watch(spans, start)) as watch:
        assert await anext(watch) == Changes(start)
        names = [f"{number}.example.com" for number in range(200)]
        for name in names:
            await etcd.put({KEYS.vassal(name): name.encode()}, {})
        wanted = {n.encode() for n in names if int(KEYS.vassal(n).split("/")[-2], 16) % 2 == 0}
        told: set[bytes] = set()
        while told < wanted:
            told |= {each.value for each in (await anext(watch)).written}
        assert told == wanted


async def test_a_key_ends_with_its_lease(etcd: Etcd) -> None:
    lease = await etcd.grant(30)
    key = KEYS.backend("10.0.0.1")
    await etcd.put({key: b"up"}, {key: 0}, lease)
    assert await etcd.renew(lease)
    await etcd.revoke(lease)
    assert await etcd.get(key) is None
    assert not await etcd.renew(lease)
    await etcd.revoke(lease)


@pytest.mark.parametrize("megabytes", [1.6, 2, 20])
async def test_a_value_of_more_than_etcd_takes_is_refused(etcd: Etcd, megabytes: float) -> None:
    with pytest.raises(RegistryRefused, match=r"too large|larger than max"):
        await etcd.put({KEYS.slots(): b"x" * int(megabytes * 1e6)}, {})
