"""What a backend takes from the registry, and what it does while that is away: the real folder and
disk, and an engine in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from emperor.model.provided import Provided
from emperor.model.pulled import Occasion
from emperor.model.registration import (
    RegisteredAlias,
    RegisteredRemoval,
    Sealed,
    bucket_of,
    encoded,
)
from emperor.model.registry_keys import Span
from emperor.pull import follower, local_copy, search
from emperor.pull.pulled_inis import Order
from emperor.registry.port import Page
from emperor.registry.reads import AT_ONCE
from emperor.supervisor import slices
from tests.eventually import eventually_async
from tests.pull.fleet_backend import KEYS, FleetBackend, backend_of, ini, put
from tests.registry.memory_engine import MemoryEngine
from tests.traces import public_folder

A, B = "one.example", "two.example"


class CountingEngine(MemoryEngine):
    """Counts reads, and how many there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.at_once = self.most_at_once = self.watches = 0

    async def page(self, *arguments: object, **more: object) -> Page:
        self.reads += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await super().page(*arguments, **more)  # type: ignore[arg-type]
        finally:
            self.at_once -= 1


class LateEngine(MemoryEngine):
    """Answers the first question, which is where a watch may begin, only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def page(self, span: Span, limit: int = 500, *, fresh: bool = False) -> Page:
        if not self.is_asked.is_set():
            self.is_asked.set()
            await self.may_answer.wait()
        return await super().page(span, limit, fresh=fresh)


class SlowEngine(MemoryEngine):
    """Answers the last question about some key late, with what it had when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = ""
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def page(self, span: Span, limit: int = 500, *, fresh: bool = False) -> Page:
        answer = await super().page(span, limit, fresh=fresh)
        if span.start == self.slow and (answer.entries or fresh):
            self.slow = ""
            self.is_asked.set()
            await self.may_answer.wait()
        return answer


@pytest.fixture
def place() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine()


@asynccontextmanager
async def pulled(place: Path, engine: MemoryEngine, *domains: str) -> AsyncIterator[FleetBackend]:
    """A backend that has pulled these, with the serial 1."""
    async with backend_of(place, engine) as backend:
        await put(engine, *(ini(domain, 1) for domain in domains))
        for domain in domains:
            assert await backend.search.provide(domain) is Provided.VASSAL
        yield backend


async def test_all_first_hits_of_a_domain_share_one_read(
    place: Path, engine: CountingEngine
) -> None:
    async with backend_of(place, engine) as backend:
        await put(engine, ini(A, 1))
        await eventually_async(lambda: backend.reachability.is_reached)
        before = engine.reads
        hits = [backend.search.provide(A) for _ in range(500)]
        assert set(await asyncio.gather(*hits)) == {Provided.VASSAL}
        assert engine.reads - before == 1
        assert backend.idle(A) == 5


async def test_a_flood_of_unknown_hosts_is_no_flood_of_reads(
    place: Path, engine: CountingEngine
) -> None:
    async with backend_of(place, engine) as backend:
        await eventually_async(lambda: backend.reachability.is_reached)
        hosts = [f"{number}.example" for number in range(400)]
        for _ in range(3):
            found = await asyncio.gather(*map(backend.search.provide, hosts))
            assert set(found) == {Provided.NOTHING}
        assert engine.most_at_once <= AT_ONCE + 1, "and the follower"
        assert engine.reads < 3 * len(hosts), "what is not there is remembered"


async def test_while_the_registry_is_away_nobody_is_told_no(
    place: Path, engine: CountingEngine
) -> None:
    async with pulled(place, engine, A) as backend:
        await engine.cut()
        assert await backend.search.provide(B) is Provided.UNSURE
        assert await backend.search.provide("x.example", "_.example") is Provided.UNSURE
        await eventually_async(lambda: not backend.reachability.is_reached)
        assert backend.idle(A) == 5
        await engine.mend()
        await put(engine, ini(A, 2, "6"))
        await eventually_async(lambda: backend.idle(A) == 6)


async def test_changes_of_many_leave_turns_to_the_loop(
    place: Path, engine: CountingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = [f"{number}.example" for number in range(100)]
    async with pulled(place, engine, *domains) as backend:
        monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
        files = backend.site.reader.read_files
        files.clear()
        await put(engine, *(ini(domain, 2, "6") for domain in domains))
        most, before = 0, 0
        while len(files) < len(domains):
            await asyncio.sleep(0)
            most, before = max(most, len(files) - before), len(files)
        assert most == 1
        await eventually_async(lambda: all(backend.idle(domain) == 6 for domain in domains))


async def test_what_a_watch_has_missed_is_read_again(place: Path, engine: CountingEngine) -> None:
    async with pulled(place, engine, A, B) as backend:
        await eventually_async(lambda: backend.journal.revision == engine.revision)
    await put(engine, ini(A, 2, "6"), RegisteredRemoval(B, 2))
    await put(engine, ini("c.example", 1))
    engine.compact()
    async with backend_of(place, engine) as backend:
        await eventually_async(lambda: (backend.idle(A), backend.text(B)) == (6, None))


async def test_what_is_pulled_while_a_watch_begins_is_followed(place: Path) -> None:
    engine = LateEngine()
    async with backend_of(place, engine) as backend:
        await engine.is_asked.wait()
        await put(engine, ini(A, 1))
        assert await backend.search.provide(A) is Provided.VASSAL
        engine.may_answer.set()
        await put(engine, ini(A, 2, "7"))
        await eventually_async(lambda: backend.idle(A) == 7)


async def test_a_change_while_a_domain_is_pulled_is_followed(place: Path) -> None:
    """Its bucket is watched already, since it was here before."""
    engine = SlowEngine()
    async with pulled(place, engine, A, B) as backend:
        (place / "vassals" / f"{A}.ini").unlink()
        backend.site.folder.changed([f"{A}.ini"])
        await eventually_async(lambda: backend.idle(A) is None and not backend.local_copy.holds(A))
        engine.slow = KEYS.vassal(A)
        hit = asyncio.create_task(backend.search.provide(A))
        await engine.is_asked.wait()
        await put(engine, ini(A, 2, "7"))
        await put(engine, ini(B, 2, "6"))
        await eventually_async(lambda: backend.idle(B) == 6)
        engine.may_answer.set()
        assert await hit is Provided.VASSAL
        await eventually_async(lambda: backend.idle(A) == 7)


async def test_what_comes_while_a_wildcard_answers_is_pulled(place: Path) -> None:
    """A domain of that bucket is here, so that it is watched already."""
    engine = SlowEngine()
    host = next(
        name
        for name in (f"h{number}.{A}" for number in count())
        if bucket_of(name) == bucket_of(f"_.{A}")
    )
    async with pulled(place, engine, f"_.{A}", B) as backend:
        engine.slow = KEYS.vassal(host)
        hit = asyncio.create_task(backend.search.provide(host, f"_.{A}"))
        await engine.is_asked.wait()
        await put(engine, ini(host, 1, "7"))
        await put(engine, ini(B, 2, "6"))
        await eventually_async(lambda: backend.idle(B) == 6)
        engine.may_answer.set()
        await hit
        await eventually_async(lambda: backend.idle(host) == 7)


async def test_a_host_that_was_forgotten_is_asked_for_again(
    place: Path, engine: CountingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can make up hosts of a wildcard."""
    monkeypatch.setattr(search, "_MOST_BENEATH", 2)
    async with pulled(place, engine, f"_.{A}", f"_.{B}") as backend:
        unlinked = backend.site.world.listeners.unlinked
        hers = f"hers.{A}"
        assert await backend.search.provide(hers, f"_.{A}") is Provided.NOTHING
        for number in range(2):
            assert hers not in unlinked
            assert await backend.search.provide(f"h{number}.{B}", f"_.{B}") is Provided.NOTHING
        assert hers in unlinked


async def test_a_registry_made_anew_is_followed_also_after_a_restart(
    place: Path, engine: CountingEngine
) -> None:
    """Its revisions are lower than those at which the inis were pulled."""
    engine.revision = 5000
    second = CountingEngine()
    second.revision = 10
    async with pulled(place, engine, A) as backend:
        await eventually_async(lambda: backend.journal.revision == engine.revision)
    await put(second, ini(A, 1))
    async with backend_of(place, second) as backend:
        await eventually_async(lambda: backend.journal.revision == second.revision)
    async with backend_of(place, second) as backend:
        await eventually_async(lambda: backend.reachability.is_reached)
        await put(second, ini(A, 2, "7"))
        await eventually_async(lambda: backend.idle(A) == 7)


async def test_what_was_read_before_a_newer_change_is_no_step_back(
    place: Path, engine: CountingEngine
) -> None:
    async with pulled(place, engine, A) as backend:
        for serial in (3, 2):
            order = Order(A, 100 + serial, Occasion.CHANGE, ini(A, serial, f"{serial}"))
            await backend.local_copy.carry_out([order])
        assert not backend.local_copy.complaints
        await eventually_async(lambda: backend.idle(A) == 3)


async def test_another_registry_with_lower_revisions_is_followed(place: Path) -> None:
    first, second = CountingEngine(), CountingEngine()
    first.revision = 5000
    async with pulled(place, first, A) as backend:
        await eventually_async(lambda: backend.journal.revision == first.revision)
    await put(second, ini(A, 2, "6"))
    async with backend_of(place, second) as backend:
        await eventually_async(lambda: backend.idle(A) == 6)
        await put(second, ini(A, 3, "7"))
        await eventually_async(lambda: backend.idle(A) == 7)


@pytest.mark.parametrize("is_held_now", [True, False])
async def test_another_registry_with_higher_revisions_is_followed(
    place: Path, is_held_now: bool
) -> None:
    """A watch of it would tell nothing of what was put before."""
    first, second = CountingEngine(), CountingEngine()
    second.cluster = 2
    async with pulled(place, first, A) as backend:
        await eventually_async(lambda: backend.journal.revision == first.revision)
    removal = RegisteredRemoval(A, 2)
    await put(second, ini(A, 2, "6") if is_held_now else removal)
    second.revision = first.revision + 1000
    async with backend_of(place, second) as backend:
        await eventually_async(lambda: backend.idle(A) == (6 if is_held_now else None))
        await eventually_async(lambda: backend.journal.revision == second.revision)
    second.cluster = 3
    async with backend_of(place, second) as backend:
        await put(second, ini(A, 3, "7"))
        await eventually_async(lambda: backend.reachability.is_reached)
        if is_held_now:
            await eventually_async(lambda: backend.idle(A) == 7)


@pytest.mark.parametrize("below", ["x", "\udcff"])
async def test_a_key_that_is_elsewhere_changes_nothing(
    place: Path, engine: CountingEngine, below: str
) -> None:
    async with pulled(place, engine, A) as backend:
        strange = KEYS.vassal(A).removesuffix(A) + below
        await engine.put({f"{strange}/{A}": encoded(Sealed(RegisteredRemoval(A, 9)))}, {})
        await eventually_async(lambda: backend.local_copy.revision == engine.revision)
        await put(engine, ini(A, 2, "7"))
        await eventually_async(lambda: backend.idle(A) == 7)


async def test_no_serial_is_so_high_that_none_can_follow(
    place: Path, engine: CountingEngine
) -> None:
    async with backend_of(place, engine) as backend:
        await put(engine, ini(A, 1))
        assert await backend.search.provide(A) is Provided.VASSAL
        await put(engine, ini(A, 2**50, "6"), ini(B, 2**50))
        await eventually_async(lambda: A in backend.local_copy.complaints)
        assert "is the highest today" in backend.local_copy.complaints[A]
        assert await backend.search.provide(B) is Provided.REFUSED
        assert (backend.idle(A), backend.text(B)) == (5, None)
        await put(engine, ini(A, 2, "7"), ini(B, 1))
        await eventually_async(lambda: backend.idle(A) == 7)
        assert await backend.search.provide(B) is Provided.VASSAL


async def test_what_stays_broken_keeps_no_turn_of_others(
    place: Path, engine: CountingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(follower, "_MOST_RETRIED", 1)
    async with pulled(place, engine, A, B) as backend:
        await engine.delete(KEYS.vassal(A), engine.revision)
        await eventually_async(lambda: A in backend.local_copy.complaints)
        backend.local_copy.postpone(B, "its aliases could not be read")
        await eventually_async(lambda: B not in backend.local_copy.complaints)
        assert A in backend.local_copy.complaints


@pytest.mark.parametrize("others_behind", [0, 15])
async def test_what_is_behind_outlasts_a_flood_of_complaints(
    place: Path, engine: CountingEngine, monkeypatch: pytest.MonkeyPatch, others_behind: int
) -> None:
    monkeypatch.setattr(local_copy, "_MOST_COMPLAINTS", 10)
    flood = [f"{number}.example" for number in range(20)]
    async with pulled(place, engine, A) as backend:
        await engine.put({KEYS.vassal(host): b"broken" for host in flood}, {})
        for number in range(others_behind):
            backend.local_copy.postpone(f"{number}.org", "its aliases could not be read")
        await engine.put({KEYS.vassal(A): b"broken"}, {})
        await eventually_async(lambda: A in backend.local_copy.unfinished)
        for host in flood:
            assert await backend.search.provide(host) is Provided.REFUSED
        assert A in backend.local_copy.unfinished
        assert backend.local_copy.unfinished <= backend.local_copy.complaints.keys()
        assert len(backend.local_copy.complaints) == others_behind + 1 + 10
        assert backend.local_copy.revision < engine.revision


async def test_an_empty_registry_removes_nothing(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    domains = [f"{number}.example" for number in range(60)]
    async with pulled(place, CountingEngine(), *domains):
        pass
    async with backend_of(place, CountingEngine()) as backend:
        await eventually_async(lambda: len(backend.local_copy.complaints) == len(domains))
        assert all(backend.idle(domain) == 5 for domain in domains)
    told = [each for each in caplog.messages if "the registry has no entry for it" in each]
    assert len(told) == 20, "and a line that there are more"


async def test_what_nobody_uses_is_forgotten_and_pulled_again(
    place: Path, engine: CountingEngine
) -> None:
    async with pulled(place, engine, A, B) as backend:
        await backend.unused_inis.forget()
        assert backend.text(A) == "5", "it was pulled just now"
        backend.site.world.clock.now += 1e10
        vassal = backend.site.world.governor.vassals[B]
        vassal.last_hit = backend.site.world.clock.now
        await backend.unused_inis.forget()
        assert (backend.text(A), backend.text(B)) == (None, "5")
        await eventually_async(lambda: backend.idle(A) is None)
        assert await backend.search.provide(A) is Provided.VASSAL
        assert backend.text(A) == "5"


@pytest.mark.parametrize("loss", ["nothing", "an old backup", "no answer"])
async def test_what_the_registry_has_not_is_not_forgotten(
    place: Path, engine: CountingEngine, loss: str
) -> None:
    async with pulled(place, engine, A) as backend:
        await put(engine, ini(A, 2, "7"))
        await eventually_async(lambda: backend.idle(A) == 7)
        match loss:
            case "nothing":
                await engine.delete(KEYS.vassal(A), engine.revision)
            case "an old backup":
                await put(engine, ini(A, 1))
            case _:
                await engine.cut()
        backend.site.world.clock.now += 1e10
        await backend.unused_inis.forget()
        assert backend.text(A) == "7"


async def test_an_alias_of_what_is_gone_is_nothing(place: Path, engine: CountingEngine) -> None:
    async with backend_of(place, engine) as backend:
        await put(engine, RegisteredAlias(A, 1, B), RegisteredRemoval(B, 3))
        assert await backend.search.provide(A) is Provided.NOTHING
        assert list(backend.site.path.iterdir()) == []
