"""A backend in the registry: it comes, drains and goes, and never fights over its address."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from emperor.model.member import Capacity, Member, decoded
from emperor.model.registry_keys import Keys
from emperor.model.registry_status import MembershipStatus
from emperor.registry import membership
from emperor.registry.membership import Membership
from emperor.registry.port import CannotReach, Connection
from tests.eventually import eventually_async
from tests.registry.memory_engine import MemoryEngine

KEYS = Keys("/emperord")
A = "192.0.2.11"
KEY = KEYS.backend(A)
HERE = Member(A, "here", Fraction(1), Capacity(4, 8 << 30, 3), "0.1.0", 10**9)
SECONDS = 1


@dataclass
class Machine:
    """A backend whose daemon runs; `now` is how it is, and `told` what the registry answered."""

    engine: MemoryEngine
    now: Member
    membership: Membership = field(init=False)
    told: list[Exception | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = asyncio.get_running_loop().time
        self.membership = Membership(
            Connection(self.engine, KEYS), lambda: self.now, clock, self.told.append, SECONDS
        )

    def is_cut_off(self) -> bool:
        return bool(self.told) and isinstance(self.told[-1], CannotReach)

    def status(self) -> MembershipStatus:
        return self.membership.status(datetime.now(UTC))

    def change(self, **changes: object) -> None:
        self.now = replace(self.now, **changes)  # type: ignore[arg-type]
        self.membership.changed()


@asynccontextmanager
async def up(engine: MemoryEngine, now: Member = HERE) -> AsyncIterator[Machine]:
    """The machine runs, and is killed at the end."""
    machine = Machine(engine, now)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(machine.membership.run())
        yield machine
        running.cancel()


def registered(engine: MemoryEngine) -> Member | None:
    """What the registry has of the backend."""
    value = engine.value(KEY)
    return decoded(A, value) if value else None


async def until(engine: MemoryEngine, holds: Callable[[Member | None], bool]) -> None:
    """The registry has such a record of the backend."""
    await eventually_async(lambda: holds(registered(engine)))


async def test_a_backend_registers_and_goes() -> None:
    engine = MemoryEngine()
    async with up(engine) as machine:
        await until(engine, lambda found: found == HERE)
    await machine.membership.leave()
    assert registered(engine) is None
    assert not engine.leases


async def test_a_drain_is_told_at_once() -> None:
    engine = MemoryEngine()
    async with up(engine) as machine:
        await until(engine, bool)
        for drains in (True, False):
            machine.change(drains=drains)
            await until(engine, lambda found, drains=drains: found is not None  # type: ignore[misc]
                        and found.drains == drains)  # fmt: skip


async def test_apps_that_wake_cause_no_writes() -> None:
    engine = MemoryEngine()
    async with up(engine) as machine:
        await until(engine, bool)
        machine.change(capacity=replace(HERE.capacity, awake=4))
        await eventually_async(lambda: not machine.membership._news.is_set())
        machine.change(drains=True)
        await until(engine, lambda found: found is not None and found.drains)
        assert engine.puts == 2


async def test_the_first_app_that_wakes_is_told_soon() -> None:
    engine = MemoryEngine()
    async with up(engine, replace(HERE, capacity=replace(HERE.capacity, awake=0))) as machine:
        await until(engine, bool)
        for awake in (3, 0):
            machine.now = replace(HERE, capacity=replace(HERE.capacity, awake=awake))
            await until(engine, lambda found, awake=awake: found is not None  # type: ignore[misc]
                        and found.capacity.awake == awake)  # fmt: skip


async def test_a_lost_lease_is_made_anew() -> None:
    engine = MemoryEngine()
    async with up(engine):
        await until(engine, bool)
        first = engine.lease_of(KEY)
        assert first is not None
        await engine.end(first)
        await until(engine, bool)
        assert engine.lease_of(KEY) != first


async def test_a_key_that_somebody_deletes_is_written_anew() -> None:
    engine = MemoryEngine()
    async with up(engine):
        await until(engine, bool)
        found = await engine.get(KEY)
        assert found
        await engine.delete(KEY, found.revision)
        await until(engine, bool)


async def test_it_goes_on_when_the_registry_was_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    engine = MemoryEngine()
    await engine.cut()
    async with up(engine) as machine:
        await eventually_async(machine.is_cut_off)
        machine.change(drains=True)
        await engine.mend()
        await until(engine, lambda found: found is not None and found.drains)
        lease = engine.lease_of(KEY)
        await engine.cut()
        machine.change(drains=False)
        await eventually_async(machine.is_cut_off)
        await engine.mend()
        await until(engine, lambda found: found is not None and not found.drains)
        assert engine.lease_of(KEY) == lease
    assert caplog.text.count("registered 192.0.2.11") == 1


async def test_the_next_daemon_goes_on_with_the_key() -> None:
    engine = MemoryEngine()
    gone: list[str] = []

    async def watch() -> None:
        async for changes in engine.watch([KEYS.backends()], engine.revision):
            gone.extend(changes.gone)

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch())
        async with up(engine):
            await until(engine, bool)
        first = engine.lease_of(KEY)
        assert first is not None
        async with up(engine, replace(HERE, version="0.2.0", since=2 * 10**9)):
            await until(engine, lambda found: found is not None and found.version == "0.2.0")
            await engine.end(first)
            assert registered(engine) == replace(HERE, version="0.2.0")
        watching.cancel()
    assert gone == []


async def test_it_tells_how_it_stands() -> None:
    engine = MemoryEngine()
    await engine.cut()
    async with up(engine) as machine:
        await eventually_async(machine.is_cut_off)
        before = machine.status()
        assert (before.is_registered, before.confirmed_at) == (False, None)
        assert before.failures
        assert before.why
        await engine.mend()
        machine.membership.changed()
        await eventually_async(lambda: machine.status().is_registered)
        confirmed = machine.status()
        assert confirmed.why is None
        assert confirmed.confirmed_at
        await engine.cut()
        await eventually_async(lambda: not machine.status().is_registered)
        assert machine.status().why
        assert machine.status().failures > confirmed.failures
        await engine.mend()
        await eventually_async(lambda: machine.status().is_registered)
        async with up(engine, replace(HERE, machine="there")) as other:
            await eventually_async(lambda: "another machine" in (other.status().why or ""))
            assert not other.status().is_registered


@pytest.mark.parametrize(("machine", "is_left"), [("here", False), ("there", True)])
async def test_it_is_registered_under_one_address(machine: str, is_left: bool) -> None:
    """The daemon before had another address, which another machine may have by now."""
    engine = MemoryEngine()
    async with up(engine, replace(HERE, machine=machine)):
        await until(engine, bool)
    later = Machine(engine, replace(HERE, address="192.0.2.12"))
    later.membership.address_before = A
    await later.membership._step()
    assert engine.value(KEYS.backend("192.0.2.12"))
    assert bool(registered(engine)) is is_left


async def test_two_machines_do_not_fight_over_an_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = MemoryEngine()
    there = replace(HERE, machine="there")
    async with up(engine):
        await until(engine, bool)
        async with up(engine, there):
            await eventually_async(lambda: "another machine has that address" in caplog.text)
            assert registered(engine) == HERE
    assert engine.puts == 1


async def test_an_address_is_taken_when_its_machine_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = MemoryEngine()
    there = replace(HERE, machine="there")
    async with up(engine):
        await until(engine, bool)
    lease = engine.lease_of(KEY)
    assert lease is not None
    async with up(engine, there) as machine:
        await engine.end(lease)
        machine.membership.changed()
        await until(engine, lambda found: found is not None and found.machine == "there")
    assert "another machine" not in caplog.text


async def test_a_backend_registers_after_a_fault(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(membership, "_RETRY_SECONDS", (0.01, 0.02))
    engine = MemoryEngine()
    engine.fault = ZeroDivisionError()
    async with up(engine) as machine:
        await eventually_async(machine.is_cut_off)
        engine.fault = None
        await until(engine, lambda found: found == HERE)
    assert "cannot stay registered with the fleet: a fault in emperord" in caplog.text


async def test_a_fault_at_its_end_keeps_no_daemon_from_stopping(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = MemoryEngine()
    async with up(engine) as machine:
        await until(engine, lambda found: found == HERE)
    engine.fault = ZeroDivisionError()
    await machine.membership.leave()
    assert "cannot leave the fleet: a fault in emperord" in caplog.text
