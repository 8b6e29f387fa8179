"""An upgrade that ends before the new version runs: nothing has changed, and another one may
follow. tests/journeys/test_upgrade.py has the rest."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, cast

import pytest

from emperor.handover.gate import Gate
from emperor.handover.upgrade import CannotUpgrade, Handover
from emperor.model.notice import Incident, Notice, NoticeKind, NoticeSubject
from emperor.notices.channel import Channel, ChannelPorts
from emperor.notices.kept import KeptNotices
from emperor.notices.notices import IniStatus, Notices
from emperor.notices.senders import Delivery, DeliveryStatus
from emperor.succession import Succession
from emperor.web.history import HistoryAccess
from tests.eventually import eventually_async
from tests.supervisor.world import World, settings

FULL = OSError(errno.EMFILE, "Too many open files")


class _NoExec:
    """Proves any version, and can run none."""

    def __init__(self) -> None:
        self.runs = 0

    async def prove(self) -> None:
        pass

    @asynccontextmanager
    async def signals_blocked(self) -> AsyncIterator[None]:
        yield

    def run_new_version(self, _fds: dict[str, int]) -> NoReturn:
        self.runs += 1
        raise CannotUpgrade("there is none")


class _Sender:
    """Sends nothing."""

    name, where = "notify-url", "https://chat.example.com"

    async def send(self, _notice: Notice, _now: datetime) -> Delivery:
        return Delivery(DeliveryStatus.FAILED, "HTTP 404")


def _served(_domain: str) -> IniStatus:
    return IniStatus(None, None, exists=True)


class _Daemon:
    """What an upgrade needs of a daemon that has told of an app that fails."""

    def __init__(self, folder: Path, tasks: asyncio.TaskGroup) -> None:
        self.gate, self.handover, self.note = Gate(), _NoExec(), folder / "notices"
        loop = asyncio.get_running_loop()
        ports = ChannelPorts(self.gate, tasks, lambda: 0.5, lambda: datetime.now(UTC))
        channel = Channel(_Sender(), ports, lambda _name, _fate: None)
        self.notices = Notices([channel], KeptNotices(folder), _served, loop)
        subject = NoticeSubject("a.example", None, "it fails")
        self.notices.note(Incident(NoticeKind.APP_FAILED, subject))
        self.succession = Succession(
            cast(Handover, self.handover), World().governor, HistoryAccess(settings(), None, loop),
            self.notices, self.gate, asyncio.Event(), objection=lambda: "", keep=lambda: None,
        )  # fmt: skip
        self.asked = asyncio.Event()

    async def ask(self, runs: int) -> None:
        """Ask for an upgrade, and return when it has got as far as to an exec."""
        self.asked.set()
        await eventually_async(lambda: self.handover.runs == runs)


@pytest.fixture
def daemon(tmp_path: Path) -> Callable[[asyncio.TaskGroup], _Daemon]:
    return lambda tasks: _Daemon(tmp_path, tasks)


def _failing(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def test_a_client_that_leaves_ends_an_upgrade_without_a_trace(
    daemon: Callable[[asyncio.TaskGroup], _Daemon],
) -> None:
    async with asyncio.TaskGroup() as tasks:
        here = daemon(tasks)
        is_told = asyncio.Event()

        async def tell() -> None:
            is_told.set()
            await asyncio.Event().wait()

        upgrading = asyncio.ensure_future(here.succession.upgrade(tell))
        await is_told.wait()
        assert here.note.exists(), "the next daemon would go on with them"
        upgrading.cancel()
        await asyncio.wait([upgrading])
        assert upgrading.cancelled()
        assert not here.note.exists()


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset"), FULL])
async def test_an_error_before_the_exec_is_why_there_is_no_upgrade(
    daemon: Callable[[asyncio.TaskGroup], _Daemon], error: OSError
) -> None:
    async def tell() -> None:
        raise error

    async with asyncio.TaskGroup() as tasks:
        here = daemon(tasks)
        with pytest.raises(CannotUpgrade, match=error.strerror):
            await here.succession.upgrade(tell)
        assert not here.note.exists()


async def test_the_daemon_outlives_an_upgrade_without_a_descriptor(
    daemon: Callable[[asyncio.TaskGroup], _Daemon], caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.TaskGroup() as tasks:
        here = daemon(tasks)
        here.succession.keep = _failing(FULL)
        running = tasks.create_task(here.succession.upgrade_when(here.asked))
        here.asked.set()
        await eventually_async(lambda: "cannot upgrade: Too many open files; all" in caplog.text)
        here.succession.keep = lambda: None
        await here.ask(runs=1)
        assert not here.note.exists()
        running.cancel()


async def test_the_daemon_outlives_a_fault_in_an_upgrade(
    daemon: Callable[[asyncio.TaskGroup], _Daemon], caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.TaskGroup() as tasks:
        here = daemon(tasks)
        here.succession.keep = _failing(ZeroDivisionError())
        running = tasks.create_task(here.succession.upgrade_when(here.asked))
        here.asked.set()
        await eventually_async(lambda: "cannot upgrade: a fault in emperord" in caplog.text)
        here.succession.keep = lambda: None
        await here.ask(runs=1)
        running.cancel()
