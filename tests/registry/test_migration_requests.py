"""What a machine tells the one that runs an app of visitors that come to it, on a real etcd."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from emperor.model.once import Holder
from emperor.registry.link import Link
from emperor.registry.migration_requests import MigrationRequests
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.eventually import eventually_async
from tests.registry.memory_engine import MemoryEngine
from tests.registry.to_engine import ToEngine

HERE, THERE = Holder("192.0.2.1", "a"), Holder("192.0.2.2", "b")


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    with etcd_cluster(size=1) as running:
        yield running


async def test_visitors_are_heard_of_at_once_and_not_each(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    heard: list[tuple[str, str]] = []
    revisions: list[int] = []
    async with asyncio.TaskGroup() as tasks:
        link = Link(cluster.access_file(tmp_path / "registry.ini"), tasks)
        here, there = MigrationRequests(link, HERE, tasks), MigrationRequests(link, THERE, tasks)

        async def listen() -> None:
            async for domain, other, revision in here.of_others():
                heard.append((domain, other.address))
                revisions.append(revision)

        there.tell("early.example")
        await eventually_async(lambda: "early.example" in known(cluster))
        listening = tasks.create_task(listen())
        await eventually_async(lambda: heard == [("early.example", THERE.address)])
        for _ in range(100):
            there.tell("a.example")
            here.tell("own.example")
        await eventually_async(lambda: "own.example" in known(cluster))
        there.tell("b.example")
        await eventually_async(lambda: ("b.example", THERE.address) in heard)
        assert [domain for domain, _ in heard] == ["early.example", "a.example", "b.example"]

        def again() -> bool:
            there.tell("a.example")
            return heard.count(("a.example", THERE.address)) == 2

        await eventually_async(again)
        assert revisions == sorted(set(revisions))
        listening.cancel()
        await link.close()


def known(cluster: EtcdCluster) -> str:
    """The keys of all requests."""
    return cluster.etcdctl("get", "--prefix", "--keys-only", "/emperord/once/wanted/")


async def test_a_fault_leaves_a_visitor_untold(caplog: pytest.LogCaptureFixture) -> None:
    engine = MemoryEngine()
    engine.fault = ZeroDivisionError()
    async with asyncio.TaskGroup() as tasks:
        here = MigrationRequests(cast(Link, ToEngine(engine)), HERE, tasks)
        here.tell("a.example")
        here.came("b.example")
    assert "cannot tell of a visitor of a.example: a fault in emperord" in caplog.text
    assert "cannot note that b.example has come: a fault in emperord" in caplog.text
