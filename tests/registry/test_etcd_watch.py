"""What a watch cannot tell, and that it says so: changes that are compacted, a registry that was
restored, and another cluster."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from emperor.model.registry_keys import Keys
from emperor.registry import etcd_watch
from emperor.registry.etcd import Etcd
from emperor.registry.port import Changes, Missed
from tests.etcd_cluster import EtcdCluster, etcd_cluster

KEYS = Keys("/emperord/watch")
KEY = KEYS.vassal("www.example.com")
ALL = [KEYS.vassals()]


@pytest.fixture
def cluster() -> Iterator[EtcdCluster]:
    """One for each test: its state is lost."""
    with etcd_cluster() as running:
        yield running


async def first_news(watch: AsyncIterator[Changes]) -> Changes:
    """The next item that has changes."""
    while not (changes := await anext(watch)).written:
        pass
    return changes


async def test_changes_that_are_compacted_are_missed(cluster: EtcdCluster) -> None:
    async with Etcd(cluster.access) as engine:
        start = await engine.put({KEY: b"1"}, {})
        async with aclosing(engine.watch(ALL, start)) as watch:
            await anext(watch)
            last = start
            for number in range(20):
                last = await engine.put({KEY: b"%d" % number}, {})
            cluster.etcdctl("compact", str(last))
            # What a watch that is up to date had to be told is not lost.
            told = [(await first_news(watch)).written[0].value for _ in range(20)]
            assert told == [b"%d" % number for number in range(20)]
            await engine.put({KEY: b"new"}, {})
            assert (await first_news(watch)).written[0].value == b"new"
        async with aclosing(engine.watch(ALL, start)) as watch:
            with pytest.raises(Missed, match=f"before revision {last} is compacted"):
                await first_news(watch)


async def test_a_revision_that_is_yet_to_come_is_missed(cluster: EtcdCluster) -> None:
    async with Etcd(cluster.access) as engine:
        start = await engine.put({KEY: b"1"}, {})
        async with aclosing(engine.watch(ALL, start + 1000)) as watch:
            with pytest.raises(Missed, match="restored from an older state"):
                await anext(watch)


@pytest.mark.parametrize("writes_after", [0, 30], ids=["fewer revisions", "more revisions"])
async def test_a_registry_that_was_restored(cluster: EtcdCluster, writes_after: int) -> None:
    """Also when it has as many revisions as before by the time that the watch is back."""
    async with Etcd(cluster.access, 60) as engine:
        await engine.put({KEY: b"old"}, {})
        backup = cluster.save()
        for number in range(10):
            start = await engine.put({KEY: b"%d" % number}, {})
        # Terms count elections; a cluster that is new has had few.
        cluster.leader().kill()
        await asyncio.to_thread(cluster.until_healthy)
        async with aclosing(engine.watch(ALL, start)) as watch:
            await anext(watch)
            cluster.restore(backup)
            async with Etcd(cluster.access) as other:
                for number in range(writes_after):
                    await other.put({KEY: b"%d" % number}, {})
                with pytest.raises(Missed, match="restored"):
                    async for changes in watch:
                        assert not changes.written
        found = await engine.get(KEY)
        assert found
        async with aclosing(engine.watch(ALL, found.revision)) as watch:
            assert await anext(watch) == Changes(found.revision)
            await engine.put({KEY: b"new"}, {})
            assert (await first_news(watch)).written[0].value == b"new"


async def test_another_cluster_at_the_same_addresses(cluster: EtcdCluster) -> None:
    async with Etcd(cluster.access, 60) as engine:
        start = await engine.put({KEY: b"1"}, {})
        async with aclosing(engine.watch(ALL, start)) as watch:
            await anext(watch)
            for member in cluster.members:
                member.kill()
                shutil.rmtree(member.data)
                member.option("--initial-cluster-token=another")
            cluster.start()
            with pytest.raises(Missed, match=r"another cluster|restored"):
                async for changes in watch:
                    assert not changes.written


async def test_another_cluster_after_a_restart_of_the_daemon(cluster: EtcdCluster) -> None:
    """It has more revisions than the one before, and has told all to another watch already."""
    async with Etcd(cluster.access) as engine:
        start = await engine.put({KEY: b"1"}, {})
        async with aclosing(engine.watch(ALL, start)) as watch:
            before = (await anext(watch)).state
    assert before.cluster
    assert before.elections
    async with Etcd(cluster.access) as engine:
        async with aclosing(engine.watch(ALL, start, before)) as watch:
            assert (await anext(watch)).state.cluster == before.cluster
        for other in (
            replace(before, cluster=before.cluster + 1),
            replace(before, elections=before.elections + 100),
        ):
            async with aclosing(engine.watch(ALL, start, other)) as watch:
                with pytest.raises(Missed, match=r"another cluster|restored"):
                    await anext(watch)


async def test_ranges_that_a_watch_does_not_want_are_not_told(cluster: EtcdCluster) -> None:
    """Many buckets are watched as fewer ranges."""
    wanted = [KEYS.bucket(number) for number in range(0, 4096, 16)]
    async with Etcd(cluster.access) as engine:
        start = await engine.put({KEYS.slots(): b""}, {})
        keys = [f"{KEYS.bucket(number).start}x" for number in range(0, 4096, 8)]
        async with aclosing(engine.watch(wanted, start)) as watch:
            await anext(watch)
            for at in range(0, len(keys), 64):
                last = await engine.put(dict.fromkeys(keys[at : at + 64], b""), {})
            told: list[str] = []
            while len(told) < len(wanted):
                told += [each.key for each in (await anext(watch)).written]
        assert sorted(told) == [f"{span.start}x" for span in wanted]
        # A watch that goes on after the last item may tell again, and misses nothing.
        async with aclosing(engine.watch(wanted, last)) as watch:
            await anext(watch)
            await engine.put({keys[0]: b"again"}, {})
            assert (await first_news(watch)).written[0].value == b"again"


async def test_a_slow_reader_misses_nothing(cluster: EtcdCluster) -> None:
    """etcd waits with what it cannot send, and sends it range by range later."""
    spans = [KEYS.bucket(number) for number in range(0, 4096, 64)]
    async with Etcd(cluster.access) as engine:
        start = await engine.put({KEYS.slots(): b""}, {})
        async with aclosing(engine.watch(spans, start)) as watch:
            first = await anext(watch)
            count = 40
            for number in range(count):
                values = {f"{span.start}x": b"%d " % number * 5_000 for span in spans}
                await engine.put(values, {})
            told: dict[str, list[int]] = {f"{span.start}x": [] for span in spans}
            low = [first.revision]
            while any(len(each) < count for each in told.values()):
                changes = await anext(watch)
                low.append(changes.revision)
                for each in changes.written:
                    told[each.key].append(int(each.value.split()[0]))
        assert all(numbers == list(range(count)) for numbers in told.values())
        assert low == sorted(low)


async def test_a_watch_that_is_quiet_moves_on(
    cluster: EtcdCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise what it has to read after a loss would be compacted."""
    monkeypatch.setattr(etcd_watch, "SILENCE_SECONDS", 0.5)
    async with Etcd(cluster.access) as engine:
        start = await engine.put({KEY: b"1"}, {})
        async with aclosing(engine.watch([KEYS.backends()], start)) as watch:
            await anext(watch)
            last = await engine.put({KEY: b"2"}, {})
            moved = await anext(watch)
            assert moved == replace(moved, revision=last, written=(), gone=())
            cluster.etcdctl("compact", str(last))
            for member in cluster.members:
                member.kill()
                member.start()
            await asyncio.to_thread(cluster.until_healthy)
            await engine.put({KEYS.backend("10.0.0.1"): b"up"}, {})
            assert (await first_news(watch)).written[0].value == b"up"
