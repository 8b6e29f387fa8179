"""Backends and tables of slots on an etcd that loses members, its quorum, and its time."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import pytest

from emperor.balancer.agent import Agent
from emperor.balancer.list_file import ListFile
from emperor.model.balancer_list import read
from emperor.model.fleet_policy import Policy
from emperor.model.member import Capacity, Member, decoded
from emperor.model.registry_keys import Keys
from emperor.model.slot_table import SlotTable, encoded, with_slot
from emperor.model.slots import stretched
from emperor.registry.etcd import Etcd
from emperor.registry.membership import Membership
from emperor.registry.port import CannotReach, Connection, RegistryRefused
from tests.etcd_cluster import RIGHTS, EtcdCluster, etcd_cluster
from tests.eventually import eventually_async

KEYS = Keys("/emperord")
A, B, C = (f"192.0.2.{number}" for number in range(11, 14))
TABLE = SlotTable(3, stretched([A, B, C], 240), {})


@pytest.mark.parametrize("page", ["fleet.md", "first-fleet.md"])
def test_a_page_gives_these_rights(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    grants = [" ".join(("etcdctl", *each)) for each in RIGHTS if "grant-permission" in each]
    given = re.findall(r"(?m)^etcdctl role grant-permission (?:backend|balancer) .*$", text)
    assert given == grants


@pytest.fixture
def cluster() -> Iterator[EtcdCluster]:
    with etcd_cluster() as running:
        yield running


@dataclass
class Fleet:
    """Backends that are registered, a balancer's agent, and what an observer sees: the members now,
    and who was ever gone. `told` is what the registry answered to backends."""

    members: dict[str, Member] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    now: dict[str, Member] = field(default_factory=dict)
    memberships: list[Membership] = field(default_factory=list)
    told: list[Exception | None] = field(default_factory=list)

    async def until_up(self, *addresses: str) -> None:
        """The observer sees these."""
        await eventually_async(lambda: set(self.members) == set(addresses))

    def drain(self, address: str, drains: bool) -> None:
        """As `emperorctl drain` does."""
        self.now[address] = replace(self.now[address], drains=drains)
        for membership in self.memberships:
            membership.changed()


@asynccontextmanager
async def up(cluster: EtcdCluster, path: Path, lease_seconds: int = 30) -> AsyncIterator[Fleet]:
    """Three backends and an agent, each with connections of its own."""
    fleet, clock = Fleet(), asyncio.get_running_loop().time

    async def backend(address: str) -> None:
        fleet.now[address] = Member(
            address, f"m-{address}", Fraction(1), Capacity(4, 1 << 30, 0), "0.1.0", 0
        )
        async with Etcd(cluster.access) as engine:
            tell, here = fleet.told.append, Connection(engine, KEYS)
            membership = Membership(here, lambda: fleet.now[address], clock, tell, lease_seconds)
            fleet.memberships.append(membership)
            await membership.run()

    async def agent() -> None:
        async with Etcd(cluster.access) as engine:
            await Agent(engine, KEYS, ListFile(path), Policy(), clock).run()

    async def observer() -> None:
        async with (
            Etcd(cluster.access) as engine,
            aclosing(engine.watch([KEYS.backends()], 1)) as watch,
        ):
            async for changes in watch:
                for entry in changes.written:
                    address = KEYS.address(entry.key)
                    fleet.members[address] = decoded(address, entry.value)
                for key in changes.gone:
                    fleet.gone.append(KEYS.address(key))
                    fleet.members.pop(KEYS.address(key), None)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each) for each in (observer(), agent())]
        running += [tasks.create_task(backend(address)) for address in (A, B, C)]
        await put(cluster, TABLE)
        await fleet.until_up(A, B, C)
        await until(path, TABLE)
        yield fleet
        for task in running:
            task.cancel()


async def put(cluster: EtcdCluster, table: SlotTable) -> None:
    """An operator writes the table."""
    async with Etcd(cluster.access) as engine:
        await engine.put({KEYS.slots(): encoded(table)}, {})


async def until(path: Path, table: SlotTable) -> None:
    """The file for nginx is that of the table."""
    await eventually_async(lambda: path.exists() and read(path.read_text()) == table)


async def test_the_loss_of_a_leader_moves_nobody(cluster: EtcdCluster, tmp_path: Path) -> None:
    path = tmp_path / "backends.lua"
    async with up(cluster, path) as fleet:
        await asyncio.to_thread(cluster.leader().kill)
        fleet.drain(B, True)
        await eventually_async(lambda: fleet.members[B].drains)
        table = with_slot(TABLE, 1, B)
        await put(cluster, table)
        await until(path, table)
        assert fleet.gone == []


async def test_without_a_quorum_all_stays_and_then_goes_on(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    path = tmp_path / "backends.lua"
    async with up(cluster, path) as fleet:
        lost = await asyncio.to_thread(cluster.followers)
        for member in lost:
            await asyncio.to_thread(member.kill)
        fleet.drain(B, True)
        await eventually_async(lambda: any(isinstance(e, CannotReach) for e in fleet.told))
        assert await asyncio.to_thread(path.read_text)
        for member in lost:
            await asyncio.to_thread(member.start)
        await asyncio.to_thread(cluster.until_healthy)
        await eventually_async(lambda: fleet.members[B].drains)
        table = with_slot(TABLE, 1, B)
        await put(cluster, table)
        await until(path, table)
        assert fleet.gone == []


async def test_who_lost_its_lease_in_a_pause_comes_back(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    path = tmp_path / "backends.lua"
    async with up(cluster, path, lease_seconds=2) as fleet:
        # As after a pause of the machine: the lease has ended, and nobody has told the backend.
        leases = await asyncio.to_thread(cluster.etcdctl, "lease", "list")
        for lease in leases.split("\n")[1:]:
            if lease:
                await asyncio.to_thread(cluster.etcdctl, "lease", "revoke", lease)
        await eventually_async(lambda: set(fleet.gone) == {A, B, C})
        await fleet.until_up(A, B, C)
        assert await asyncio.to_thread(path.read_text)


async def test_members_that_hang_by_turns_move_nobody(cluster: EtcdCluster, tmp_path: Path) -> None:
    path = tmp_path / "backends.lua"
    async with up(cluster, path) as fleet:
        for number, member in enumerate(cluster.members):
            await asyncio.to_thread(member.pause)
            table = with_slot(replace(TABLE, serial=TABLE.serial + number), 1 + number, B)
            await put(cluster, table)
            await until(path, table)
            fleet.drain(A, not fleet.now[A].drains)
            await eventually_async(lambda: fleet.members[A].drains == fleet.now[A].drains)
            await asyncio.to_thread(member.resume)
            await asyncio.to_thread(cluster.until_healthy)
        assert fleet.gone == []


async def test_each_kind_of_machine_has_its_rights_alone(
    cluster: EtcdCluster, tmp_path: Path
) -> None:
    for command in RIGHTS:
        await asyncio.to_thread(cluster.etcdctl, *command)
    await put(cluster, TABLE)
    path, clock = tmp_path / "backends.lua", asyncio.get_running_loop().time
    member = Member(A, "m", Fraction(1), Capacity(4, 1 << 30, 0), "0.1.0", 0)
    as_balancer = replace(cluster.access, user="balancer")
    as_backend = replace(cluster.access, user="backend")
    async with (
        Etcd(as_balancer) as balancer, Etcd(as_backend) as backend, asyncio.TaskGroup() as tasks,
    ):  # fmt: skip
        agent = Agent(balancer, KEYS, ListFile(path), Policy(), clock)
        here = Connection(backend, KEYS)
        membership = Membership(here, lambda: member, clock, lambda _: None)
        running = [tasks.create_task(each.run()) for each in (agent, membership)]
        await until(path, TABLE)
        async with Etcd(cluster.access) as observer:
            async with asyncio.timeout(30):
                while await observer.get(KEYS.backend(A)) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        for each in running:
            each.cancel()
        for engine in (balancer, backend):
            with pytest.raises(RegistryRefused):
                await engine.put({KEYS.slots(): encoded(with_slot(TABLE, 1, B))}, {})
            with pytest.raises(RegistryRefused):
                await engine.put({KEYS.vassal("www.example.com"): b"{}"}, {})
        with pytest.raises(RegistryRefused):
            await balancer.put({KEYS.backend(B): b"{}"}, {})
