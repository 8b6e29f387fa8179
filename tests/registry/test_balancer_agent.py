"""The agent of a balancer: which tables it writes for nginx, and what it does by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest

from emperor.balancer import agent as agent_module
from emperor.balancer import state_publisher as publisher_module
from emperor.balancer.agent import Agent
from emperor.balancer.list_file import ListFile, NotOurs
from emperor.balancer.metrics import Numbers, Presence, TableProblem
from emperor.balancer.state_publisher import StatePublisher
from emperor.model import absences, balancer_state, member, slot_table
from emperor.model.balancer_list import MARK, read, written
from emperor.model.balancer_state import BalancerState
from emperor.model.fleet_policy import Policy
from emperor.model.member import Capacity, Member
from emperor.model.registry_keys import Keys
from emperor.model.slot_table import SlotTable, forced, with_slot, with_weights
from emperor.model.slots import stretched
from tests.eventually import eventually_async
from tests.registry.memory_engine import MemoryEngine

KEYS = Keys("/emperord")
A, B, C, D = (f"192.0.2.{number}" for number in range(11, 15))
TABLE = SlotTable(3, stretched([A, B, C], 240), {})
ONE = Fraction(1)
NOTHING = Policy()


class Clock:
    """Monotonic seconds, which a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Balancer:
    """An agent that runs, with its file."""

    engine: MemoryEngine
    path: Path
    clock: Clock
    agent: Agent

    @property
    def numbers(self) -> Numbers:
        """What its metrics tell."""
        return self.agent.numbers(0.0)

    @property
    def table(self) -> SlotTable | None:
        """The one in the file."""
        return read(self.path.read_text()) if self.path.exists() else None

    async def until(self, serial: int) -> None:
        """The file has the table with this serial."""
        await eventually_async(lambda: (now := self.table) is not None and now.serial == serial)

    async def put(self, table: SlotTable) -> None:
        """An operator writes the table."""
        await self.engine.put({KEYS.slots(): slot_table.encoded(table)}, {})

    async def up(self, *addresses: str) -> None:
        """These backends are registered."""
        for address in addresses:
            await self.engine.put({KEYS.backend(address): member.encoded(machine(address))}, {})

    async def down(self, address: str) -> None:
        """The lease of a backend ends."""
        found = await self.engine.get(KEYS.backend(address))
        assert found
        await self.engine.delete(found.key, found.revision)

    @property
    def in_registry(self) -> SlotTable:
        """The table of the registry."""
        value = self.engine.value(KEYS.slots())
        assert value
        return slot_table.decoded(value)


def machine(address: str) -> Member:
    return Member(address, f"m-{address}", ONE, Capacity(4, 1 << 30, 0), "0.1.0", 0)


def write(path: Path, text: str) -> None:
    """Somebody writes the file."""
    path.write_text(text)


def remove(path: Path) -> None:
    """Somebody removes the file."""
    path.unlink()


def holds(path: Path, table: SlotTable) -> bool:
    """The file is that of the table, whatever was in it, for everybody to read."""
    return path.read_text() == written(table) and path.stat().st_mode & 0o777 == 0o644


def has(path: Path, text: str) -> bool:
    """The file is as it was."""
    return path.read_text() == text


@asynccontextmanager
async def running(
    engine: MemoryEngine, path: Path, policy: Policy = NOTHING, clock: Clock | None = None
) -> AsyncIterator[Balancer]:
    clock = clock or Clock()
    agent = Agent(engine, KEYS, ListFile(path), policy, clock)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(agent.run())
        yield Balancer(engine, path, clock, agent)
        task.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "backends.lua"


@pytest.fixture
async def engine() -> MemoryEngine:
    engine = MemoryEngine()
    await engine.put({KEYS.slots(): slot_table.encoded(TABLE)}, {})
    return engine


async def test_a_list_that_was_removed_is_written_again(engine: MemoryEngine, path: Path) -> None:
    """nginx would start with another one."""
    async with running(engine, path) as balancer:
        await balancer.until(3)
        remove(path)
        await balancer.up(D)
        await balancer.until(3)
        assert holds(path, TABLE)


async def test_a_table_is_written_and_each_change_of_it(engine: MemoryEngine, path: Path) -> None:
    async with running(engine, path) as balancer:
        await balancer.until(3)
        assert holds(path, TABLE)
        await balancer.put(with_slot(TABLE, 1, B))
        await balancer.until(4)
        assert balancer.table == with_slot(TABLE, 1, B)


async def test_a_table_without_sense_changes_nothing(
    engine: MemoryEngine, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(engine, path) as balancer:
        await balancer.until(3)
        half = with_weights(TABLE, {A: ONE})
        for value in (b"{}", b"", slot_table.encoded(half)):
            before = caplog.text.count("going on with table 3;")
            await engine.put({KEYS.slots(): value}, {})
            await eventually_async(
                lambda before=before: caplog.text.count("going on with table 3;") > before  # type: ignore[misc]
            )
            assert balancer.table == TABLE
        assert "2 of 3 backends are gone at once" in caplog.text
        await balancer.put(forced(replace(half, serial=5)))
        await balancer.until(5)


async def test_an_older_table_from_a_backup_is_not_taken(
    engine: MemoryEngine, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newer = with_slot(TABLE, 1, B)
    write(path, written(newer))
    async with running(engine, path) as balancer:
        await eventually_async(lambda: "serial 4 is in use already" in caplog.text)
        assert "`emperorctl fleet confirm --serial 5`" in caplog.text
        assert balancer.table == newer
        found = await engine.get(KEYS.slots())
        assert found
        await engine.delete(KEYS.slots(), found.revision)
        await eventually_async(lambda: "has no table of slots" in caplog.text)
        assert "slots init --serial 5`" in caplog.text
        assert balancer.table == newer


async def test_without_the_registry_the_list_stays(
    engine: MemoryEngine, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    write(path, written(TABLE))
    await engine.cut()
    async with running(engine, path) as balancer:
        await eventually_async(lambda: "cannot follow the registry" in caplog.text)
        assert "going on with table 3" in caplog.text
        assert balancer.table == TABLE
        await engine.mend()
        await eventually_async(lambda: "the registry is reached" in caplog.text)
        await engine.cut()
        await eventually_async(lambda: caplog.text.count("cannot follow the registry") == 2)
        await engine.mend()
        await balancer.put(with_slot(TABLE, 1, B))
        await balancer.until(4)


async def test_what_is_compacted_is_read_anew(engine: MemoryEngine, path: Path) -> None:
    async with running(engine, path) as balancer:
        await balancer.until(3)
        engine.compact()
        await balancer.put(with_slot(TABLE, 1, B))
        await balancer.until(4)


@pytest.mark.parametrize("text", ['web_server_ips = { "192.0.2.11" }\n', "-- my list\n"])
async def test_a_list_of_somebody_else_is_never_touched(
    engine: MemoryEngine, path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, text)
    with pytest.raises(NotOurs, match="somebody else has written it"):
        Agent(engine, KEYS, ListFile(path), Policy(), Clock())
    assert has(path, text)
    write(path, f"{MARK}\n{text}")
    async with running(engine, path) as balancer:
        await eventually_async(lambda: holds(path, TABLE))
        write(path, text)
        await balancer.put(with_slot(TABLE, 1, B))
        await eventually_async(lambda: "somebody else has written it" in caplog.text)
    assert has(path, text)


async def test_a_backend_that_is_down_keeps_its_slots(
    engine: MemoryEngine, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running(engine, path) as balancer:
        await balancer.up(A, B, C)
        await balancer.until(3)
        await eventually_async(lambda: f"{C} is up" in caplog.text)
        await balancer.down(C)
        await eventually_async(
            lambda: f"{C} is down: its lease has ended; its slots stay its own" in caplog.messages
        )
        await balancer.up(D)
        await eventually_async(lambda: f"{D} is up" in caplog.text)
        await balancer.down(D)
        await eventually_async(lambda: f"{D} is down: its lease has ended" in caplog.messages)
        await eventually_async(
            lambda: C in absences.decoded(engine.value(KEYS.absences()) or b"{}")
        )
        balancer.clock.now += 1e6
        await balancer.up(A)
        await balancer.up(C)
        await eventually_async(lambda: absences.decoded(engine.value(KEYS.absences()) or b"") == {})
        assert balancer.in_registry == TABLE


async def test_two_agents_move_slots_once(
    engine: MemoryEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    policy, clock = Policy(move_after=3600.0, take_in=True), Clock()
    async with (
        running(engine, tmp_path / "one.lua", policy, clock) as one,
        running(engine, tmp_path / "two.lua", policy, clock) as two,
    ):
        await one.up(A, B, C)
        await eventually_async(lambda: caplog.text.count(f"{C} is up") == 2)
        await one.down(C)
        await eventually_async(lambda: caplog.text.count(f"{C} is down") == 2)
        clock.now += 3600.0
        await one.up(A)
        for balancer in (one, two):
            await balancer.until(4)
            assert set(balancer.in_registry.slots) == {A, B}
        assert caplog.text.count(f"gave the slots of {C} to others") == 1
        await one.up(D)
        await eventually_async(lambda: caplog.text.count(f"{D} is up") == 2)
        clock.now += 31.0
        await one.up(A)
        for balancer in (one, two):
            await balancer.until(5)
            assert balancer.in_registry.slots.count(D) == 80
        assert caplog.text.count(f"took in {D}") == 1


async def test_a_disk_without_room_keeps_the_old_list(
    engine: MemoryEngine, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(engine, path) as balancer:
        await balancer.until(3)
        draft = path.parent / "backends.lua.new"
        await asyncio.to_thread(draft.mkdir)
        await balancer.put(with_slot(TABLE, 1, B))
        await eventually_async(lambda: "cannot write" in caplog.text)
        assert balancer.table == TABLE
        await asyncio.to_thread(draft.rmdir)
        await balancer.up(A)
        await balancer.until(4)


async def test_its_metrics_tell_which_table_nginx_has(engine: MemoryEngine, path: Path) -> None:
    async with running(engine, path) as balancer:
        await balancer.up(A, B)
        await balancer.until(3)
        await eventually_async(
            lambda: balancer.numbers.backends == {Presence.UP: 2, Presence.DOWN: 1}
        )
        assert (balancer.numbers.is_reached, balancer.numbers.serial) == (True, 3)
        assert balancer.numbers.since is not None
        assert (balancer.numbers.table_problem, balancer.numbers.last) == (None, {})
        await engine.cut()
        await eventually_async(lambda: not balancer.numbers.is_reached)
        assert balancer.numbers.backends is None
        assert balancer.numbers.serial == 3
        await engine.mend()
        await eventually_async(lambda: balancer.numbers.is_reached)


async def test_its_metrics_tell_why_nginx_has_another_table(
    engine: MemoryEngine, path: Path
) -> None:
    async with running(engine, path) as balancer:
        await balancer.until(3)
        half = slot_table.encoded(with_weights(TABLE, {A: ONE}))
        for value, problem in ((b"{}", TableProblem.BROKEN), (half, TableProblem.REFUSED)):
            await engine.put({KEYS.slots(): value}, {})
            await eventually_async(
                lambda problem=problem: balancer.numbers.table_problem is problem  # type: ignore[misc]
            )
        found = await engine.get(KEYS.slots())
        assert found
        await engine.delete(KEYS.slots(), found.revision)
        await eventually_async(lambda: balancer.numbers.table_problem is TableProblem.MISSING)
        await balancer.put(with_slot(TABLE, 1, B))
        await balancer.until(4)
        await eventually_async(lambda: balancer.numbers.table_problem is None)
        assert balancer.numbers.last.keys() == {
            TableProblem.BROKEN,
            TableProblem.REFUSED,
            TableProblem.MISSING,
        }


async def test_a_balancer_tells_which_table_it_has(engine: MemoryEngine) -> None:
    now = [BalancerState("lb1", 3, "", "0.1.0")]
    key = KEYS.balancer("lb1")
    publisher = StatePublisher(engine, KEYS, lambda: now[-1])

    def told() -> BalancerState | None:
        value = engine.value(key)
        return balancer_state.decoded("lb1", value) if value else None

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(publisher.run())
        await eventually_async(lambda: told() == now[-1])
        now.append(BalancerState("lb1", 3, "half or more", "0.1.0"))
        publisher.changed()
        await eventually_async(lambda: told() == now[-1])
        lease = engine.lease_of(key)
        assert lease is not None
        await engine.end(lease)
        publisher.changed()
        await eventually_async(lambda: told() == now[-1])
        running.cancel()
    await publisher.leave()
    assert told() is None


async def test_a_balancer_goes_on_after_a_fault(
    engine: MemoryEngine,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for module in (agent_module, publisher_module):
        monkeypatch.setattr(module, "_RETRY_SECONDS", (0.01, 0.02))
    publisher = StatePublisher(engine, KEYS, lambda: BalancerState("lb1", 3, "", "0.1.0"))
    async with running(engine, path) as balancer, asyncio.TaskGroup() as tasks:
        await balancer.put(TABLE)
        await balancer.until(3)
        engine.fault = ZeroDivisionError()
        await engine.cut()  # ends what waits for changes, by the fault
        telling = tasks.create_task(publisher.run())
        for what in ("follow the registry", "tell the fleet which table this balancer has"):
            await eventually_async(lambda: f"cannot {what}: a fault" in caplog.text)  # noqa: B023
        assert not balancer.numbers.is_reached
        engine.fault = None
        await engine.mend()
        await balancer.put(replace(TABLE, serial=4))
        await balancer.until(4)
        await eventually_async(lambda: engine.value(KEYS.balancer("lb1")))
        telling.cancel()
