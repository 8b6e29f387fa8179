"""The real control API on a governor whose processes are fakes, on a real unix socket."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from aiohttp import web

from emperor.bases.bases import Bases
from emperor.handover.gate import Gate
from emperor.handover.upgrade import CannotUpgrade
from emperor.linux.limits import descriptors
from emperor.linux.processes import Spawner
from emperor.model.admission import Admission
from emperor.model.authority import Caller
from emperor.model.lifecycle import Event
from emperor.model.ports import Listener, Ports, QueueLength
from emperor.model.posture import Role
from emperor.model.refusal import Refusal, RefusalReason
from emperor.model.settings import Settings
from emperor.model.share import Share
from emperor.model.spec import Spec
from emperor.model.status import EmperorStatus, ReportedState, TransitionEvent
from emperor.notices.kept import KeptNotices
from emperor.notices.notices import IniStatus, Notices
from emperor.notices.wiring import ini_status_of
from emperor.pull.registry import NoRegistry
from emperor.sources.provision import Provisioner
from emperor.supervisor.events import EventLog
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal
from emperor.web.control import Control
from emperor.web.counters import Counters
from emperor.web.drain import Drain
from emperor.web.endpoints import application
from emperor.web.health import Health
from emperor.web.history import HistoryAccess
from emperor.web.hosts import Hosts
from emperor.web.report import Reporter, ReporterSources
from tests.eventually import PATIENCE_SECONDS
from tests.supervisor.action_log import ActionLog
from tests.supervisor.fake_clock import FakeClock
from tests.supervisor.fake_launcher import FakeLauncher, FakeOptions, FakeProcess
from tests.supervisor.fake_listeners import FakeListeners
from tests.supervisor.fake_store import FakeNote, FakeStore
from tests.supervisor.world import settings


async def _nothing_queued(_listener: Listener) -> QueueLength:
    return QueueLength(0, 128)


class _Told(Reporter):
    """Tells a version and an instance that a test can change."""

    version = "0.1.0"
    instance_id = "first"

    def emperor(self, draining_since: datetime | None) -> EmperorStatus:
        info = super().emperor(draining_since)
        return replace(info, version=self.version, instance_id=self.instance_id)


class _Callers:
    """Takes everybody for the `caller` of the fake."""

    def __init__(self, emperor: "FakeEmperor") -> None:
        self._emperor = emperor

    def caller(self, _request: web.Request) -> Caller:
        return self._emperor.caller

    async def turn(self, _caller: Caller) -> None:
        pass


class FakeEmperor:
    """Its apps accept as soon as they are started and end as soon as they are told to, unless their
    domain is in `hanging`. In `failing`, it ends at the start, with these words."""

    def __init__(self, run_dir: Path) -> None:
        self.sockets_dir = run_dir / "sockets"
        chosen = settings(log_dir=str(run_dir / "logs"), sockets_dir=str(self.sockets_dir))
        actions = ActionLog()
        clock = FakeClock()
        self.history = HistoryAccess(chosen, run_dir, clock)
        self.loop = asyncio.new_event_loop()
        self.notices = Notices((), KeptNotices(run_dir), self._ini_status, self.loop)
        ports = Ports(
            listeners=FakeListeners(actions),
            launchers={"fake": FakeLauncher(actions)},
            store=FakeStore(actions),
            maintenance=FakeNote(),
            history=self.history.keep,
            clock=clock,
            wall_clock=partial(datetime.now, UTC),
            chance=lambda: 0.5,
            cores=2,
        )
        self.run_dir = run_dir
        self.events = EventLog()
        self.governor = Governor(chosen, ports, self.events)
        self.refused: dict[str, Refusal] = {}
        self.hanging: set[str] = set()
        self.failing: dict[str, str] = {}
        self.cannot_upgrade: str | None = None
        self.next_version = "0.1.0"
        self.does_exec = True
        self.may_exec = threading.Event()
        self.may_exec.set()
        self.rescans = 0
        self.admission = Admission(chosen, descriptors())
        self.reporter = _Told(
            chosen,
            self.governor,
            Hosts(self.governor.vassals, self),
            self._sources(chosen),
        )
        drain = Drain(run_dir, "boot")
        self.health = Health(drain)
        self.share: Callable[[Sequence[tuple[str, ...]]], Awaitable[Share]] | None = None
        self.control = Control(self.governor, self.reporter, self.events, drain, self)
        self.caller = Caller(0, is_administrator=True)
        self.application = application(self.control, _Callers(self), Counters())
        self.application.on_response_prepare.append(self._end_with_events)
        self.ends_with_events = False

    def _ini_status(self, domain: str) -> IniStatus:
        return ini_status_of(self.governor.vassals, self.refused, domain)

    def _sources(self, chosen: Settings) -> ReporterSources:
        provisioner = Provisioner(chosen, self.governor, Gate(), asyncio.TaskGroup())
        return ReporterSources(
            measure=_nothing_queued,
            admission=self.admission,
            limit_hits=lambda _: (),
            yielding=lambda _: (),
            hits_of=lambda _: (),
            bases=Bases("the fake makes none", {}, Spawner(self.loop)),
            registry=NoRegistry(provisioner),
            membership=None,
        )

    def serve(self, *domains: str, **options: object) -> Vassal:
        """Admit vassals, each with these fields of Spec; returns the last."""
        for domain in domains:
            spec = Spec(domain, f"{domain}.ini", f"/s/{domain}/socket", FakeOptions())
            self.governor.admit(replace(spec, **options))  # type: ignore[arg-type]
            self.governor.subscribers.add(domain, lambda domain=domain: self._soon(domain))  # type: ignore[misc]
        return self.governor.vassals[domains[-1]]

    def event(self) -> TransitionEvent:
        """Something that happens to a vassal."""
        parked, starting = ReportedState.PARKED, ReportedState.STARTING
        return TransitionEvent(
            0, datetime.now(UTC), "a.example", Event.DEMAND, parked, starting, None, "hit"
        )

    def refuse(self, domain: str, message: str, owner: int | None = None) -> None:
        """Do not serve an ini."""
        reason = RefusalReason.BROKEN_INI
        self.refused[domain] = Refusal(domain, f"{domain}.ini", reason, message, owner)

    def has(self, domain: str) -> bool:
        """Whether there is an ini of that domain."""
        return self.governor.vassals.get(domain) is not None

    def with_alias(self, host: str) -> str | None:
        """No ini is unread."""
        return None

    async def rescan(self) -> None:
        """What `Control` orders of the whole daemon."""
        self.rescans += 1

    async def upgrade(self, before_exec: Callable[[], Awaitable[None]]) -> None:
        """What `Control` orders of the whole daemon."""
        if self.cannot_upgrade:
            raise CannotUpgrade(self.cannot_upgrade)
        await before_exec()
        if not self.does_exec:
            raise CannotUpgrade("cannot run it: Exec format error")
        # A client that leaves cannot stop an exec.
        self._exec = self.loop.run_in_executor(None, self._execute)
        await asyncio.shield(self._exec)

    def _execute(self) -> None:
        self.may_exec.wait(PATIENCE_SECONDS)
        self.reporter.version, self.reporter.instance_id = self.next_version, "second"

    async def _end_with_events(self, request: web.Request, _: web.StreamResponse) -> None:
        """If a test wants it, end like a daemon that stops, once the stream has begun."""
        if self.ends_with_events and request.path == "/v1/events":
            self.loop.call_soon(asyncio.ensure_future, self.application.shutdown())

    def _soon(self, domain: str) -> None:
        self.loop.call_soon_threadsafe(self._go_on, domain)

    def _go_on(self, domain: str) -> None:
        vassal = self.governor.vassals.get(domain)
        if vassal is None or domain in self.hanging:
            return
        for child in vassal.children:
            process = child.process
            assert isinstance(process, FakeProcess)
            if child.role is Role.STOPPING:
                process.exits()
            elif child.role is Role.BOOTING and domain in self.failing:
                process.exits(self.failing[domain])
            elif child.role is Role.BOOTING:
                process.accepts()


@contextmanager
def listening(emperor: FakeEmperor) -> Iterator[None]:
    """Serve on `control.sock` of its run-dir until the block is left."""
    loop = emperor.loop
    runner = web.AppRunner(emperor.application, shutdown_timeout=0.1, handler_cancellation=True)

    async def start() -> None:
        await runner.setup()
        await web.UnixSite(runner, str(emperor.run_dir / "control.sock")).start()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result()
        yield
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        if (emperor.run_dir / "history.db").exists():
            asyncio.run_coroutine_threadsafe(emperor.history.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
