"""The key of an app that must not run twice: who has it where answers of the registry are lost. Two
machines without processes, and an engine in memory; tests/journeys/test_once.py has the rest."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest

from emperor.linux.fence import Fenced
from emperor.model import once as once_model
from emperor.model.once import Holder, decoded, encoded
from emperor.model.registry_keys import Keys
from emperor.model.snapshot import ProcessRef
from emperor.model.spec import Once as Rule
from emperor.model.spec import Spec
from emperor.registry import blocked_apps, migration, migration_requests, once, once_lease
from emperor.registry.link import Link
from emperor.registry.once import Once
from emperor.registry.own_names import OwnNames
from emperor.registry.port import CannotReach, KeyValue
from tests.eventually import eventually_async
from tests.registry.memory_engine import MemoryEngine
from tests.registry.to_engine import FaultyLink, ToEngine
from tests.supervisor.world import SPEC

KEYS = Keys("/emperord")
A, B = "a.example", "b.example"


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_ASK_SECONDS", 0.1)
    monkeypatch.setattr(once, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(once, "_RETRY_SECONDS", 0.01)
    for module in (migration, blocked_apps):
        monkeypatch.setattr(module, "_RETRY_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(once_lease, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(once_model, "_REQUEST_SECONDS", 0.01)
    monkeypatch.setattr(once_model, "_REQUEST_LATER_SECONDS", 0.01)
    monkeypatch.setattr(once_model, "_LASTING_SECONDS", 0.05)


class LossyEngine(MemoryEngine):
    """Does what it is told, and loses answers. Until it is `awake` it writes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.loses = False
        self._reads: Counter[str] = Counter()
        self.renewals = 0
        self.awake = asyncio.Event()
        self.awake.set()

    async def put(
        self, values: Mapping[str, bytes], expected: Mapping[str, int], lease: int | None = None
    ) -> int:
        await self.awake.wait()
        written = await super().put(values, expected, lease)
        if self.loses:
            raise CannotReach("no answer")
        return written

    async def get(self, key: str) -> KeyValue | None:
        self._reads[key] += 1
        return await super().get(key)

    async def renew(self, lease: int) -> bool:
        self.renewals += 1
        return await super().renew(lease)

    def reads_of(self, key: str) -> int:
        """How often that key was read."""
        return self._reads[key]

    async def delete(self, key: str, expected: int) -> int:
        if self.loses:
            raise CannotReach("no answer")
        return await super().delete(key, expected)


class NoFence:
    """Kills nobody."""

    def __init__(self) -> None:
        self.is_closed = False

    def tell(self, apps: Collection[Fenced]) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


class Machine:
    """A machine of a fleet; `running` are the apps that have a process, and `waiting` those that
    wait for their turn. `always` never sleep. One that `is_deaf` does not hear that it may have an
    app again."""

    def __init__(
        self,
        name: str,
        engine: MemoryEngine,
        tasks: asyncio.TaskGroup,
        link: ToEngine | None = None,
    ) -> None:
        self.me = Holder(name, name)
        self.fence = NoFence()
        self.once = Once(cast(Link, link or ToEngine(engine)), OwnNames(self.me), self.fence, tasks)
        self.always: set[str] = set()
        self.is_deaf = False
        self.running: set[str] = set()
        self.waiting: set[str] = set()
        self.rules: dict[str, Rule] = {}

    def spec(self, domain: str) -> Spec:
        return replace(SPEC, domain=domain, once=self.rules.get(domain, Rule.STRICT))

    def want(self, domain: str) -> None:
        """Somebody wants it, as far as emperord asks for it then (web/activation)."""
        if domain not in self.running and self.once.why_not(domain) is None and not self.is_deaf:
            (self.running if self.once.has(self.spec(domain)) else self.waiting).add(domain)
            self.settle(domain)

    def has(self, domain: str) -> bool:
        """Somebody wants it again and again; whether it runs."""
        self.want(domain)
        return domain in self.running

    def stop(self, domain: str) -> None:
        """It sleeps, or is not wanted any more."""
        self.running.discard(domain)
        self.waiting.discard(domain)
        self.settle(domain)

    def settle(self, domain: str) -> None:
        refs = [ProcessRef("fake", 4711, 1, "/log")] if domain in self.running else []
        self.once.settled(self.spec(domain), refs, waits=domain in self.waiting)

    def permit(self, domain: str) -> None:
        if domain in self.waiting and self.once.has(self.spec(domain)):
            self.waiting.discard(domain)
            self.running.add(domain)
            self.settle(domain)

    def forbid(self, domain: str, why: str) -> None:
        assert why
        self.stop(domain)

    def want_again(self, domain: str, why: str) -> None:
        assert why
        if domain in self.always:
            self.want(domain)

    def since_visitor(self, _domain: str) -> float | None:
        return None


@pytest.fixture
def engine() -> LossyEngine:
    return LossyEngine()


@asynccontextmanager
async def fleet(engine: MemoryEngine) -> AsyncIterator[tuple[Machine, Machine]]:
    """Two machines. The first one has another app, so that its lease lives."""
    async with asyncio.TaskGroup() as tasks:
        machines = Machine("one", engine, tasks), Machine("two", engine, tasks)
        for each in machines:
            each.once.start(each)
        machines[0].want(B)
        await eventually_async(lambda: B in machines[0].running)
        yield machines
        for each in machines:
            for domain in list(each.running):
                each.stop(domain)
            await each.once.stop()


def holder(engine: MemoryEngine) -> str | None:
    """The machine that has the key of A."""
    value = engine.value(KEYS.once(A))
    return decoded(value).machine if value else None


@pytest.mark.parametrize("always", [True, False])
async def test_a_key_whose_answer_was_lost_blocks_nobody(engine: LossyEngine, always: bool) -> None:
    async with fleet(engine) as (one, two):
        if always:
            one.always.add(A)
        engine.loses = True
        one.want(A)
        await eventually_async(lambda: one.once.why_not(A) and holder(engine) == "one")
        engine.loses = False
        if always:
            await eventually_async(lambda: A in one.running)
        else:
            await eventually_async(lambda: two.has(A))


async def test_one_that_was_refused_for_the_registry_may_run_later(engine: LossyEngine) -> None:
    """Another one runs elsewhere, so that this machine watches already who has which."""
    async with fleet(engine) as (one, two):
        two.want(B)
        await eventually_async(lambda: two.once.why_not(B))
        engine.awake.clear()
        two.want(A)
        await eventually_async(lambda: "cannot be reached" in (two.once.why_not(A) or ""))
        engine.awake.set()
        await eventually_async(lambda: two.has(A))
        assert one.me.machine in (two.once.why_not(B) or "")


async def test_a_key_that_could_not_be_given_up_goes_later(engine: LossyEngine) -> None:
    async with fleet(engine) as (one, two):
        one.want(A)
        await eventually_async(lambda: A in one.running)
        engine.loses = True
        one.stop(A)
        await eventually_async(lambda: one.once._apps.get(A) is None)
        engine.loses = False
        await eventually_async(lambda: two.has(A))


async def test_one_that_runs_without_its_key_takes_it_later(engine: LossyEngine) -> None:
    async with fleet(engine) as (one, _two):
        one.rules[A] = Rule.SOFT
        engine.awake.clear()
        one.want(A)
        await eventually_async(lambda: A in one.running)
        assert holder(engine) is None
        engine.awake.set()
        await eventually_async(lambda: holder(engine) == "one")
        one.stop(A)
        await eventually_async(lambda: holder(engine) is None)


async def test_a_key_that_comes_when_nobody_wants_it_any_more_goes(engine: LossyEngine) -> None:
    async with fleet(engine) as (one, _two):
        engine.awake.clear()
        one.want(A)
        one.stop(A)
        engine.awake.set()
        await eventually_async(lambda: engine.puts == 2)
        await eventually_async(lambda: holder(engine) is None)


async def test_an_app_that_may_run_twice_now_runs_at_once(engine: LossyEngine) -> None:
    async with fleet(engine) as (one, two):
        one.want(A)
        await eventually_async(lambda: A in one.running)
        two.want(A)
        await eventually_async(lambda: two.once.why_not(A))
        for each in (one, two):
            each.rules[A] = Rule.NO
            each.settle(A)
        two.want(A)
        assert A in two.running
        await eventually_async(lambda: holder(engine) is None)


def comes(machine: "Machine") -> bool:
    """A visitor comes to that machine, unless the app runs there."""
    if not machine.has(A):
        machine.once.turned_away(A)
    return machine.has(A)


async def runs_on(machine: "Machine", other: "Machine") -> None:
    """The app runs on a machine, as the other one knows."""
    machine.want(A)
    await eventually_async(lambda: A in machine.running)
    other.want(A)
    await eventually_async(lambda: "it runs on" in (other.once.why_not(A) or ""))


async def test_stray_visits_do_not_have_an_app_go_around(
    engine: LossyEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody comes to the machine that runs it, as far as that sees."""
    async with fleet(engine) as (one, two):
        await runs_on(one, two)
        await eventually_async(lambda: comes(two))
        one.want(A)
        await eventually_async(lambda: "it runs on two" in (one.once.why_not(A) or ""))
        await stray_visits_move_nothing(engine, one)
        assert engine.value(KEYS.migration_request(A)) == encoded(one.me)
        assert A in two.running
        monkeypatch.setattr(migration_requests, "MIGRATED_SECONDS", 0.01)
        await eventually_async(lambda: comes(one))


async def stray_visits_move_nothing(engine: LossyEngine, machine: "Machine") -> None:
    """Whoever has the app looks whether one has gone lately, and it stays."""
    for _ in range(3):
        reads = engine.reads_of(KEYS.migrated(A))
        await eventually_async(
            lambda: comes(machine) or engine.reads_of(KEYS.migrated(A)) > reads  # noqa: B023
        )
    assert A not in machine.running


async def test_an_app_that_nobody_takes_does_not_go_around(engine: LossyEngine) -> None:
    """The visitors whom it was to follow come no more."""
    async with fleet(engine) as (one, two):
        await runs_on(one, two)
        two.is_deaf = True
        await eventually_async(lambda: comes(two) or holder(engine) == "two")
        lease = engine.lease_of(KEYS.once(A))
        assert lease is not None
        await engine.end(lease)
        two.is_deaf = False
        await eventually_async(lambda: one.has(A))
        two.want(A)
        await eventually_async(lambda: "it runs on one" in (two.once.why_not(A) or ""))
        await stray_visits_move_nothing(engine, two)
        assert A in one.running


async def test_an_app_returns_a_second_time_at_once(engine: LossyEngine) -> None:
    """Its own machine is restarted twice: each time another one has it meanwhile."""
    async with asyncio.TaskGroup() as tasks:
        one = Machine("one", engine, tasks)
        one.once.start(one)
        one.want(A)
        await eventually_async(lambda: A in one.running)
        for _ in range(2):
            own = Machine("own", engine, tasks)
            own.once.start(own)
            own.want(A)
            await eventually_async(lambda: "it runs on one" in (own.once.why_not(A) or ""))  # noqa: B023
            await eventually_async(lambda: comes(own))  # noqa: B023
            own.stop(A)
            await own.once.stop()
            await eventually_async(lambda: one.has(A))
        await one.once.stop()


async def test_it_goes_to_the_machine_that_asks_for_it(engine: LossyEngine) -> None:
    """Others want it at all times, and would be as fast."""
    async with asyncio.TaskGroup() as tasks:
        one, *others, two = machines = [Machine(f"m{n}", engine, tasks) for n in range(8)]
        for each in machines:
            each.once.start(each)
            each.always.add(A)
        one.want(A)
        await eventually_async(lambda: A in one.running)
        for each in machines[1:]:
            each.want(A)
        await eventually_async(
            lambda: all("it runs on m0" in (each.once.why_not(A) or "") for each in machines[1:])
        )
        await eventually_async(lambda: comes(two) or any(A in each.running for each in others))
        assert A in two.running
        for each in machines:
            await each.once.stop()


async def test_a_fault_in_a_claim_is_as_a_registry_that_is_away(
    engine: LossyEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet(engine) as (one, two):
        one.rules[B] = Rule.SOFT
        engine.fault = ZeroDivisionError()
        two.want(A)
        await eventually_async(lambda: "a fault in emperord" in (two.once.why_not(A) or ""))
        two.rules[B] = Rule.SOFT
        await eventually_async(lambda: two.has(B))
        engine.fault = None
        await eventually_async(lambda: two.has(A))
    assert f"cannot take the key of {A}: a fault in emperord" in caplog.text


async def test_a_lease_is_renewed_after_a_fault(
    engine: LossyEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet(engine) as (one, two):
        one.want(A)
        await eventually_async(lambda: A in one.running)
        two.want(A)
        await eventually_async(lambda: two.once.why_not(A))
        engine.fault = ZeroDivisionError()
        await engine.cut()  # ends what waits for changes, by the fault
        for what in (
            "renew the lease of its apps",
            "learn where apps run",
            "give apps to other machines",
        ):
            await eventually_async(lambda: f"cannot {what}" in caplog.text)  # noqa: B023
        one.stop(A)
        await eventually_async(lambda: f"cannot give up the key of {A}" in caplog.text)
        engine.fault = None
        await engine.mend()
        await eventually_async(lambda: two.has(A))


async def test_a_fault_at_its_end_keeps_no_daemon_from_stopping(
    engine: LossyEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet(engine):
        engine.fault = ZeroDivisionError()
    assert "cannot give up the lease of its apps: a fault in emperord" in caplog.text


async def test_nobody_gets_what_still_runs_after_a_faulty_stop(
    engine: LossyEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.TaskGroup() as tasks:
        one = Machine("one", engine, tasks)
        one.once.start(one)
        for domain in (A, B):
            one.want(domain)
        await eventually_async(lambda: {A, B} <= one.running)
        one.stop(B)
        await one.once.stop()
    assert holder(engine) == "one"
    assert not one.fence.is_closed, "it kills the app before the lease ends"
    assert f"does not give up its lease, for these still run: {A};" in caplog.text


async def test_all_is_given_up_when_the_last_app_has_ended(engine: LossyEngine) -> None:
    async with asyncio.TaskGroup() as tasks:
        one = Machine("one", engine, tasks)
        one.once.start(one)
        one.want(A)
        await eventually_async(lambda: A in one.running)
        one.stop(A)
        await one.once.stop()
    assert holder(engine) is None
    assert one.fence.is_closed


async def test_no_fault_ends_the_connection_or_the_renewals(engine: LossyEngine) -> None:
    link = FaultyLink(engine, only_failures=True)
    async with asyncio.TaskGroup() as tasks:
        one = Machine("one", engine, tasks, link)
        one.once.start(one)
        one.want(A)
        await eventually_async(lambda: A in one.running)
        await engine.cut()
        await eventually_async(lambda: link.faults == 2)
        await engine.mend()
        before = engine.renewals
        await eventually_async(lambda: engine.renewals >= before + 2)
        one.stop(A)
        await one.once.stop()
