"""emperord-balancer beside a real nginx, on a real etcd: requests go where the table says, and
nothing is lost when either is away."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.model.registry_keys import Keys
from emperor.model.slot_table import SlotTable, encoded, forced, with_slot, with_weights
from emperor.model.slots import stretched
from emperor.registry.etcd import Etcd
from tests.backend import BIN
from tests.balancer.fleet import ADDRESSES, Fleet, running, three
from tests.balancer.vectors import stock_index
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.eventually import eventually, eventually_async
from tests.http_client import Request
from tests.traces import public_folder

A, B, C = ADDRESSES
SLOTS = 240
HOSTS = [f"shop{number}.example" for number in range(40)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[EtcdCluster]:
    with etcd_cluster() as running_one:
        yield running_one


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


class Program:
    """The agent's process."""

    def __init__(self, folder: Path, cluster: EtcdCluster) -> None:
        self.file = folder / "backends.lua"
        self._log = folder / "agent.log"
        config = cluster.access_file(folder / "registry.ini")
        with config.open("a") as text:
            text.write(f"[balancer]\nlist-file = {self.file}\n")
        self._command = [str(BIN / "emperord-balancer"), f"--config={config}"]

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stderr=log)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0

    def until_said(self, text: str) -> None:
        eventually(lambda: text in self._log.read_text(), alive=[self.process], what=text)

    @property
    def log(self) -> str:
        return self._log.read_text()


async def until_placed(fleet: Fleet, table: SlotTable) -> None:
    """Every host is at the backend that the table names."""

    async def is_placed() -> bool:
        replies = [await fleet.ask(Request(host)) for host in HOSTS]
        assert {reply.status for reply in replies} == {200}
        return [reply.text for reply in replies] == [
            table.slots[stock_index(host, len(table.slots))] for host in HOSTS
        ]

    async with asyncio.timeout(60):
        while not await is_placed():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_the_table_reaches_nginx_and_outlasts_all_else(
    cluster: EtcdCluster, folder: Path
) -> None:
    program = Program(folder, cluster)
    async with running(folder, three()) as fleet:
        table = SlotTable(1, stretched([A, B, C], SLOTS), {}, fleet.backends[0].ports)
        listed = fleet.balancer.conf.parent / "lua" / "init_backends.lua"
        text = await asyncio.to_thread(listed.read_text)
        await asyncio.to_thread(listed.write_text, f'{text}web_server_file = "{program.file}"\n')
        fleet.balancer.expect("there is no file")
        before = await eventually_async(fleet.balancer.workers)
        fleet.balancer.reload()
        await eventually_async(lambda: not before & fleet.balancer.workers())
        await write(cluster, table)
        await asyncio.to_thread(program.start)
        try:
            await until_placed(fleet, table)
            await eventually_async(lambda: '"serial":1' in balancers(cluster))
            table = forced(with_weights(table, {A: table.weight(A), B: table.weight(B)}))
            await write(cluster, table)
            await until_placed(fleet, table)
            await asyncio.to_thread(without_etcd, cluster, program)
            await until_placed(fleet, table)
            table = with_slot(table, stock_index(HOSTS[0], SLOTS) + 1, A)
            await write(cluster, table)
            await until_placed(fleet, table)
            empty = b'{"serial": 9, "backends": [], "slots": []}'
            async with Etcd(cluster.access) as engine:
                await engine.put({Keys("/emperord").slots(): empty}, {})
            await asyncio.to_thread(program.until_said, "it is empty")
            await until_placed(fleet, table)
        finally:
            await asyncio.to_thread(program.stop)
        assert fleet.balancer.marks == []
    assert balancers(cluster) == ""
    assert "Traceback" not in program.log


def balancers(cluster: EtcdCluster) -> str:
    """What balancers tell of themselves."""
    return cluster.etcdctl("get", "--prefix", "--print-value-only", "/emperord/balancers/").strip()


async def write(cluster: EtcdCluster, table: SlotTable) -> None:
    """An operator changes the table."""
    async with Etcd(cluster.access) as engine:
        await engine.put({Keys("/emperord").slots(): encoded(table)}, {})


def without_etcd(cluster: EtcdCluster, program: Program) -> None:
    """The agent starts while etcd is down, and etcd comes back."""
    for member in cluster.members:
        member.kill()
    program.until_said("cannot follow the registry")
    program.stop()
    program.start()
    eventually(lambda: program.log.count("going on with table 2") >= 2)
    for member in cluster.members:
        member.start()
    cluster.until_healthy()
    eventually(lambda: program.log.count("the registry is reached") == 2)


def test_it_says_what_is_wrong_with_its_settings(cluster: EtcdCluster, folder: Path) -> None:
    program = Program(folder, cluster)
    program.file.write_text('web_server_ips = { "192.0.2.11" }\n')
    program.start()
    assert program.process.wait(30) == 1
    assert "somebody else has written it" in program.log
    assert "Traceback" not in program.log
