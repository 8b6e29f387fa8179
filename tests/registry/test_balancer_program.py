"""emperord-balancer beside a real nginx, on a real etcd: requests go where the table says, and
nothing is lost when either is away."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from emperor.balancer.service import read_usable_config
from emperor.model.balancer_list import MARK
from emperor.model.registry_keys import Keys
from emperor.model.slot_table import SlotTable, encoded, forced, with_slot, with_weights
from emperor.model.slots import stretched
from emperor.registry.etcd import Etcd
from tests.backend import BIN
from tests.balancer.backends import ADDRESSES, three
from tests.balancer.fleet import Fleet, running
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
        self.config = cluster.access_file(folder / "registry.ini")
        with self.config.open("a") as text:
            text.write(f"[balancer]\nlist-file = {self.file}\n")
        self._command = [str(BIN / "emperord-balancer"), f"--config={self.config}"]

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stderr=log)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0

    def reload(self, before: str, after: str) -> None:
        """Change a text of its file, and tell it."""
        text = self.config.read_text()
        assert before in text
        self.config.write_text(text.replace(before, after))
        self.process.send_signal(signal.SIGHUP)

    def check(self) -> subprocess.CompletedProcess[str]:
        """What the command says of its file."""
        return subprocess.run(
            [*self._command, "--check"], capture_output=True, text=True, check=False
        )

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
            # The kernel ends a member together with the thread that has started it.
            for member in cluster.members:
                member.start()
            await asyncio.to_thread(with_etcd, cluster, program)
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
    """The agent starts while etcd is down."""
    for member in cluster.members:
        member.kill()
    program.until_said("cannot follow the registry")
    program.stop()
    program.start()
    eventually(lambda: program.log.count("going on with table 2") >= 2)


def with_etcd(cluster: EtcdCluster, program: Program) -> None:
    """It is back."""
    cluster.until_healthy()
    eventually(lambda: program.log.count("the registry is reached") == 2)


async def test_a_reload_takes_up_a_changed_file(cluster: EtcdCluster, folder: Path) -> None:
    program = Program(folder, cluster)
    await write(cluster, SlotTable(1, stretched([A, B, C], SLOTS), {}))
    await asyncio.to_thread(program.start)
    await eventually_async(program.file.exists)
    other = folder / "other.lua"
    await asyncio.to_thread(program.reload, "backends.lua", "other.lua")
    await eventually_async(lambda: other.exists() and "table 1," in other.read_text())
    assert f"what {program.config} says now is in use" in program.log
    program.file.unlink()
    await write(cluster, SlotTable(2, stretched([A, B, C], SLOTS), {}))
    await eventually_async(lambda: "table 2," in other.read_text())
    await eventually_async(lambda: '"serial":2' in balancers(cluster))
    await asyncio.to_thread(program.stop)
    assert not program.file.exists()
    assert balancers(cluster) == ""
    assert "Traceback" not in program.log


WRONG = {
    "a broken line": ("[balancer]", "[balancer]\ntake-in = perhaps", "take-in"),
    "no certificates": ("ca.pem", "none.pem", "none.pem"),
    "a file of somebody else": ("backends.lua", "theirs.lua", "somebody else has written it"),
}


@pytest.mark.parametrize("how", WRONG)
async def test_a_file_that_cannot_be_used_changes_nothing(
    cluster: EtcdCluster, folder: Path, how: str
) -> None:
    program = Program(folder, cluster)
    (folder / "theirs.lua").write_text('web_server_ips = { "192.0.2.11" }\n')
    await write(cluster, SlotTable(1, stretched([A, B, C], SLOTS), {}))
    await asyncio.to_thread(program.start)
    await eventually_async(program.file.exists)
    assert (await asyncio.to_thread(program.check)).returncode == 0
    before, after, cause = WRONG[how]
    await asyncio.to_thread(program.reload, before, after)
    await asyncio.to_thread(program.until_said, "what was read before is still in use")
    assert cause in program.log
    checked = await asyncio.to_thread(program.check)
    assert checked.returncode == os.EX_CONFIG
    assert cause in checked.stderr
    await write(cluster, SlotTable(2, stretched([A, B, C], SLOTS), {}))
    await eventually_async(lambda: "table 2," in program.file.read_text())
    await asyncio.to_thread(program.stop)
    assert "Traceback" not in program.log


def test_it_says_what_is_wrong_with_its_settings(cluster: EtcdCluster, folder: Path) -> None:
    program = Program(folder, cluster)
    program.file.write_text('web_server_ips = { "192.0.2.11" }\n')
    program.start()
    assert program.process.wait(30) == os.EX_CONFIG
    assert program.log.count("somebody else has written it") == 1
    assert "Traceback" not in program.log


def test_a_damaged_list_is_told_once(cluster: EtcdCluster, folder: Path) -> None:
    program = Program(folder, cluster)
    program.file.write_text(f"{MARK}: table 7\n")
    program.start()
    program.until_said("the registry is reached")
    program.stop()
    assert program.log.count("the next table is taken as it is") == 1


def test_a_list_that_it_cannot_read_is_told_once(cluster: EtcdCluster, folder: Path) -> None:
    program = Program(folder, cluster)
    program.file.mkdir()
    program.start()
    assert program.process.wait(30) == os.EX_CONFIG
    assert f"cannot use {program.file}: Is a directory" in program.log
    assert "Traceback" not in program.log


def test_a_file_that_goes_while_it_is_read_ends_no_agent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = folder / "registry.ini"
    config.write_text(
        "[registry]\nendpoints = http://127.0.0.1:1\n"
        f"[balancer]\nlist-file = {folder}/backends.lua\n"
    )
    really_open = Path.open

    def open_and_remove(path: Path, mode: str) -> IO[Any]:
        opened = really_open(path, mode)
        path.unlink()
        return opened

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_and_remove)
        found = read_usable_config(config)
    assert found.access.endpoints == ("http://127.0.0.1:1",)
