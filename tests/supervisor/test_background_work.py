"""Work in the background begins after a while, one app at a time, and never beside a boot."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from emperor.model.definition import FileOwner
from emperor.model.lifecycle import Event
from emperor.model.spec import Identity, Spec, Stamp
from emperor.model.status import ReportedState, TransitionEvent
from emperor.supervisor.background_work import DELAY_SECONDS, BackgroundWork
from emperor.supervisor.records import Vassal
from emperor.supervisor.vassals import Vassals
from tests.supervisor.action_log import ActionLog
from tests.supervisor.fake_clock import FakeClock
from tests.supervisor.fake_launcher import FakeOptions
from tests.supervisor.fake_listeners import FakeListener

_AT = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """Vassals, of which each belongs to the user with the number at its name's end, and work on
    them, which ends when the test says so."""

    def __init__(self, names: Iterable[str], tasks: asyncio.TaskGroup) -> None:
        self.clock = FakeClock()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        vassals = Vassals()
        for name in names:
            vassals.add(_vassal(name))
        self.vassals = vassals
        self.spare = BackgroundWork(vassals, self._work, self.clock, tasks)

    async def _work(self, spec: Spec, text: bytes, owner: FileOwner) -> None:
        assert (text, owner) == (b"text", FileOwner(4, 5))
        self.begun.append(spec.domain)
        await self.go_on.wait()
        if spec.domain == "fails-1":
            raise RuntimeError
        self.ended.append(spec.domain)

    async def advance(self, seconds: float = DELAY_SECONDS) -> None:
        """Advance the clock, and let all tasks run that can."""
        self.clock.advance(seconds)
        for _ in range(20):
            await asyncio.sleep(0)

    def tell(self, name: str, after: ReportedState) -> None:
        """The vassal is in that state now."""
        event = TransitionEvent(1, _AT, name, Event.DEMAND, ReportedState.PARKED, after, None, "")
        self.spare.on_event(event)


def _vassal(name: str) -> Vassal:
    uid = int(name.rpartition("-")[2])
    runtime = FakeOptions()
    of = Spec(name, f"{name}.ini", "/s", runtime, identity=Identity(uid, uid, None))
    vassal = Vassal.new(of, FakeListener(of, 1, ActionLog()), 0.0, Stamp(1, 2, 3, 4, 5))
    vassal.text = b"text"
    return vassal


async def test_an_app_is_worked_on_some_seconds_after_its_last_change() -> None:
    async with asyncio.TaskGroup() as tasks:
        world = World(["a-1"], tasks)
        world.spare.note("a-1")
        await world.advance(DELAY_SECONDS - 1)
        world.spare.note("a-1")
        await world.advance(DELAY_SECONDS - 1)
        assert world.begun == []
        await world.advance(1)
        assert world.ended == ["a-1"]
        assert world.clock.pending == 0


async def test_the_users_take_turns() -> None:
    async with asyncio.TaskGroup() as tasks:
        names = ["a-1", "b-1", "fails-1", "c-2", "d-3"]
        world = World(names, tasks)
        for name in names:
            world.spare.note(name)
        await world.advance()
        assert world.begun == ["a-1", "c-2", "d-3", "b-1", "fails-1"]
        assert world.ended == ["a-1", "c-2", "d-3", "b-1"]


async def test_no_work_is_done_while_an_app_boots() -> None:
    async with asyncio.TaskGroup() as tasks:
        world = World(["a-1", "b-2"], tasks)
        world.tell("b-2", ReportedState.STARTING)
        world.spare.note("a-1")
        await world.advance()
        assert world.begun == []
        world.tell("b-2", ReportedState.RUNNING)
        await world.advance(0)
        assert world.ended == ["a-1"]


async def test_a_boot_ends_the_work_which_is_repeated() -> None:
    async with asyncio.TaskGroup() as tasks:
        world = World(["a-1", "b-2"], tasks)
        world.go_on.clear()
        world.spare.note("a-1")
        await world.advance()
        world.tell("b-2", ReportedState.RELOADING)
        world.go_on.set()
        await world.advance(0)
        assert (world.begun, world.ended) == (["a-1"], [])
        world.tell("b-2", ReportedState.RUNNING)
        await world.advance(0)
        assert world.ended == ["a-1"]


async def test_the_stop_of_the_daemon_ends_all_of_it() -> None:
    async with asyncio.TaskGroup() as tasks:
        world = World(["a-1", "b-2"], tasks)
        world.go_on.clear()
        for name in ("a-1", "b-2"):
            world.spare.note(name)
        await world.advance()
        world.spare.close()
        world.spare.note("b-2")
        await world.advance()
        assert (world.begun, world.ended, world.clock.pending) == (["a-1"], [], 0)


async def test_nothing_comes_of_a_vassal_that_is_gone() -> None:
    async with asyncio.TaskGroup() as tasks:
        world = World(["a-1"], tasks)
        world.spare.note("b-2")
        await world.advance()
        assert (world.begun, world.clock.pending) == ([], 0)
