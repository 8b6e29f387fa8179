"""The parts of the daemon, wired together; how they start and stop."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NoReturn

from emperor import __version__
from emperor.bases.kept_base import PREFIX as KEPT_BASES
from emperor.early_refusal import PROGRAMS, TO_END_SECONDS
from emperor.failure import CannotStart
from emperor.fair_cpu import fair_cpu_of
from emperor.fleet import Fleet
from emperor.gc_freeze import frozen_objects
from emperor.guarded import in_turn
from emperor.handover.gate import Gate
from emperor.handover.upgrade import Handover
from emperor.linux.accounts import SystemAccounts
from emperor.linux.append_only import release_others
from emperor.linux.boot_id import boot_id
from emperor.linux.limits import descriptors
from emperor.linux.log_bound import LogBound
from emperor.linux.malloc_trim import trim_heap
from emperor.linux.orphans import Reaper
from emperor.linux.queues import measured_queue
from emperor.linux.state_dir import named_state_dir
from emperor.model.authority import Caller
from emperor.model.daemon_record import Outdated, outdated
from emperor.model.duration import format_duration
from emperor.model.limit_hits import Hit, Reached
from emperor.model.settings import Settings
from emperor.model.share import Share
from emperor.model.snapshot import decoder
from emperor.notices.limits_and_disks import LimitsAndDisks
from emperor.notices.notices import IniStatus
from emperor.notices.wiring import channels_of, ini_status_of, limits_and_disks_of, notices_of
from emperor.real_ports import notes_of, real_ports, registry_for
from emperor.rescans import Rescans
from emperor.sources.folder import VassalFolder
from emperor.succession import Succession
from emperor.supervisor.background_work import BackgroundWork
from emperor.supervisor.events import EventLog
from emperor.supervisor.fair_log import fair_log
from emperor.supervisor.governor import Governor
from emperor.supervisor.permission import GovernorPermission
from emperor.supervisor.records import Child, Vassal
from emperor.supervisor.slices import slices
from emperor.supervisor.status_line import StatusLine
from emperor.supervisor.stop import stop_all
from emperor.uwsgi.runtime import uwsgi_parts
from emperor.web.activation import Activation
from emperor.web.callers import callers_of
from emperor.web.control import Control
from emperor.web.counters import Counters
from emperor.web.drain import Drain
from emperor.web.endpoint import EVERYBODY, endpoint, group_access
from emperor.web.endpoints import application
from emperor.web.health import Health
from emperor.web.history import HistoryAccess
from emperor.web.hosts import Hosts
from emperor.web.limit_hits import group_of_app, hits_of_app, limit_hits
from emperor.web.pace import Pacer
from emperor.web.report import Reporter, ReporterSources
from emperor.web.server import serve
from emperor.web.stand_in import NAME as STAND_IN
from emperor.web.stand_in import Post, Question, Reply, relieve

log = logging.getLogger("emperord.service")

# For the rest of the stop, after the last process was killed.
_AFTER_STOPPING_SECONDS = 15.0


class Service:
    """One daemon, which serves until `stop` is set. `tasks` holds everything that runs beside the
    loop's callbacks."""

    def __init__(
        self,
        settings: Settings,
        uwsgi: Path,
        handover: Handover,
        tasks: asyncio.TaskGroup,
        stop: asyncio.Event,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._settings, self._handover, self._tasks, self._stop = settings, handover, tasks, stop
        self._notifier, self._inherited = handover.notifier, handover.inherited
        self._events, self._counters = EventLog(), Counters()
        self._accounts = SystemAccounts()
        self._reaper, self._gate = Reaper(loop), Gate()
        open_files = handover.invocation.open_files
        parts = uwsgi_parts(uwsgi, settings, self._accounts, self._gate, open_files)
        self._runtimes = (parts.runtime,)
        self._bases, self._defaults = parts.bases, parts.defaults
        self._groups, self._copies = parts.bounds.groups, parts.copies
        self._fair_cpu = fair_cpu_of(parts.bounds, self._accounts.name, tasks)
        self.history = HistoryAccess(settings, named_state_dir(os.environ), loop)
        channels = channels_of(settings, parts.bounds, self._gate, tasks, self._counters.notice)
        self.notices = notices_of(settings, channels, self._ini_status)
        takers = (self.history.keep, self._counters.take, self.notices.take)
        self._fleet = Fleet(settings, tasks)
        bag, permits = self._inherited.bag, self._fleet.permits
        ports = real_ports(settings, self._runtimes, bag, takers, permits)
        self._governor = Governor(settings, ports, self._events)
        reader = parts.runtime.reader
        self._folder = VassalFolder(settings, self._governor, reader, tasks, notes_of(settings))
        self._background_work = BackgroundWork(
            self._governor.vassals, parts.compile_app, loop, tasks
        )
        hosts = Hosts(self._governor.vassals, self._folder)
        pacer = Pacer(measured_queue, tasks)
        inis = self._folder, self._accounts, self._gate
        self._registry = registry_for(settings, self._governor, inis, self._fleet.link, tasks)
        provide = self._registry.provide
        self._activation = Activation(settings, self._governor, pacer, hosts, provide)
        vassals, refused = self._governor.vassals, self._folder.refused
        self._status_line = StatusLine(vassals, refused, loop, self._notifier.status)
        self._drain = Drain(settings.run_dir, boot_id(), self._drained)
        self._fleet.add_member(self._drain, self._governor.vassals)
        self._reporter = Reporter(settings, self._governor, hosts, self._reporter_sources())
        self._rescans = self._new_rescans()
        self.health = Health(self._drain)
        self._succession = self._new_succession()

    async def run(self, hurry: asyncio.Event, upgrade: asyncio.Event) -> None:
        """Start, serve until it is time to stop, then stop all processes; `hurry` kills those that
        are left. `upgrade` asks for the version that is installed now. Raises CannotStart."""
        self._reaper.start(is_first=self._inherited.is_new)
        async with AsyncExitStack() as stack:
            try:
                has_predecessor = await self._start(stack)
            except OSError as error:
                raise cannot_start(error) from error
            self._notifier.ready()
            log.info(
                "serving %d vassals of %s", len(self._governor.vassals), self._settings.vassals_dir
            )
            if has_predecessor:
                await self._rescans.restore_listeners()
            self._status_line.tell()
            self._handover.installed.note()
            if self._settings.cpu_yield:
                self._fair_cpu.start()
            self._fleet.join()
            background = [
                self._tasks.create_task(self._succession.upgrade_when(upgrade)),
                self._tasks.create_task(self._feed_watchdog()),
            ]
            await self._stop.wait()
            self._notifier.stopping()
            for task in background:
                task.cancel()
            await self._shut_down(hurry)
        self._inherited.leave_nothing()

    def _drained(self, is_over: bool) -> None:
        self.notices.drained(is_over)
        self._fleet.drained()

    def _reporter_sources(self) -> ReporterSources:
        admission = self._activation.admission
        reached = partial(limit_hits, self._groups, self._accounts, turned_away=admission.hits)
        return ReporterSources(
            measure=measured_queue,
            admission=admission,
            limit_hits=reached,
            yielding=self._fair_cpu.yielding,
            hits_of=partial(hits_of_app, self._groups),
            bases=self._bases,
            registry=self._registry,
            membership=self._fleet.membership,
        )

    def _ini_status(self, domain: str) -> IniStatus:
        return ini_status_of(self._governor.vassals, self._folder.refused, domain)

    def _new_rescans(self) -> Rescans:
        reached = partial(self._reporter.sources.limit_hits, Caller(0, is_administrator=True))
        watched = limits_and_disks_of(self._settings, self.notices, self._groups, reached)
        return Rescans(
            self._settings,
            self._governor,
            self._folder,
            self._defaults,
            self._tasks,
            changed=self._status_line.tell_soon,
            looked=partial(self._look, watched),
        )

    def _look(self, watched: LimitsAndDisks) -> None:
        watched.look(self._tasks)
        self._bases.look()
        self._groups.left.look()

    def _new_succession(self) -> Succession:
        return Succession(
            self._handover,
            self._governor,
            self.history,
            self.notices,
            self._gate,
            stop=self._stop,
            objection=self._fleet.refusal,
            keep=self._bases.keep,
        )

    async def _start(self, stack: AsyncExitStack) -> bool:
        """Go on with the vassals of an earlier daemon, make the others, and listen. Returns whether
        an earlier daemon left vassals.

        The order counts. The folder and the logs are watched before they are read, so that no
        change is missed. Vassals of an earlier daemon are served before the folder is compared with
        them, which may take seconds; without any, no host is known before that. The record of this
        daemon names its sockets, so it is saved when it listens. What the folder had until then is
        no change that anybody is told of.
        """
        self._fleet.start(GovernorPermission(self._governor))
        kept = self._inherited.pop_entries(KEPT_BASES)
        self._bases.take_over(self._inherited.bag, kept, self._groups)
        opening = self._tasks.create_task(self.history.open())
        self._begin_watching(stack)
        with frozen_objects():
            asleep, has_predecessor = self._take_over()
            if has_predecessor:
                await self._folder.read_unknown()
                await opening
                await self._serve_http(stack)
                async for part in slices(asleep):
                    self._governor.resume(part)
            await self._folder.rescan()
        # The lists and texts by which thousands of inis were read.
        trim_heap()
        if not has_predecessor:
            await opening
            await self._serve_http(stack)
        self._inherited.commit(self._settings)
        self._registry.start()
        self._begin_telling(stack)
        return has_predecessor

    def _begin_watching(self, stack: AsyncExitStack) -> None:
        """Notice until the stack ends what happens to inis, logs and vassals."""
        settings = self._settings
        stack.enter_context(self._rescans.watching())
        readers = (self._governor.on_printed, self._reporter.printed.notify)
        bounds = settings.log_dir, settings.log_max_size
        logs = LogBound(*bounds, self._loop, *readers, on_reserved=self._log_is_reserved)
        stack.callback(logs.close)
        stack.enter_context(self._events.reader(self._counters.read))
        stack.enter_context(self._events.reader(self._background_work.on_event))
        stack.enter_context(fair_log(self._governor.vassals, self._loop.time))

    def _log_is_reserved(self, domain: str) -> None:
        """An app has reserved space in its log."""
        if vassal := self._governor.vassals.get(domain):
            hit = Hit(Reached.LOG, self._settings.log_max_size)
            self._governor.on_misuse(domain, str(hit))
            self._groups.hits.note(group_of_app(vassal.spec), hit.limit)

    def _begin_telling(self, stack: AsyncExitStack) -> None:
        """Have changes of inis and vassals told from now on, and go on with the notices of an
        earlier daemon."""
        self._folder.tell_changes(self._background_work.note, self._judged)
        self.notices.resume()
        stack.enter_context(self._events.reader(self._status_line.tell_soon))

    def _judged(self, domain: str) -> None:
        self.notices.look(domain)
        self._registry.judged(domain)

    def _take_over(self) -> tuple[list[Vassal], bool]:
        """Go on with the vassals of an earlier daemon. Returns those that sleep, and whether there
        were any at all."""
        decode = decoder({runtime.name: runtime.options for runtime in self._runtimes})
        record, vassals = self._inherited.record, self._inherited.pop_vassals(decode)
        asleep = self._governor.restore(vassals)
        self._groups.let_end(PROGRAMS, TO_END_SECONDS)
        self._groups.sweep()
        children = [child for vassal in self._governor.vassals for child in vassal.children]
        self._copies.sweep([child.process.ref.copy for child in children])
        release_others(self._settings.log_dir, self._governor.vassals.written_logs, self._loop)
        specs = (vassal.spec for vassal in self._governor.vassals)
        are_read_with_these = self._defaults.are_those_of(specs)
        changed = outdated(record, __version__, self._settings)
        self._folder.resume(changed if are_read_with_these else Outdated.ALL)
        if vassals:
            running = sum(len(vassal.children) for vassal in self._governor.vassals)
            log.info("took over %d vassals with %d processes", len(vassals), running)
        return asleep, bool(vassals)

    async def _serve_http(self, stack: AsyncExitStack) -> None:
        """Listen on activate.sock and control.sock until the stack ends."""
        settings, budget = self._settings, descriptors()
        control = Control(self._governor, self._reporter, self._events, self._drain, self)
        administrators = self._accounts.group(settings.control_group)
        callers = callers_of(administrators, self._accounts.daemon.uid, self._governor.vassals)
        orders = application(control, callers, self._counters)
        hits = self._activation.application(self.health)
        hits.middlewares.append(self._counters.held)
        nginx = group_access(self._accounts.group(settings.socket_group))
        standing_in = self._inherited.pop(STAND_IN)
        passed_on = await relieve(standing_in.fd) if standing_in else []

        async def state(question: Question, connection: socket.socket) -> Reply | None:
            return await control.reply(question, callers.of(connection))

        for name, app, reply, access, most, guard in (
            ("control.sock", orders, state, EVERYBODY, budget.limit, callers),
            ("activate.sock", hits, self.health.reply, nginx, budget.accepted, None),
        ):
            passed = self._inherited.pop(name)
            listener = stack.enter_context(endpoint(settings.run_dir / name, access, passed))
            self._inherited.pass_on(name, listener.fileno(), passed is None or passed.is_ours)
            server = await stack.enter_async_context(serve(app, listener, most, guard))
            self._succession.add_post(Post(name, listener, reply, server.leave))
            for accepted_on, connection in passed_on:
                if accepted_on == name:
                    server.take(connection)

    async def _shut_down(self, hurry: asyncio.Event) -> None:
        """Answer all who are held, and return when the last process has ended. A fault in one step
        skips no other: no app may outlive the daemon, and no machine of the fleet wait for it."""
        kept: list[Awaitable[None]] = []
        await in_turn(
            log,
            ("let tenants have the CPU", self._fair_cpu.close),
            ("end the work in the background", self._background_work.close),
            ("answer probes that it stops", self.health.stop),
            ("leave the fleet", self._fleet.leave),
            ("answer the requests that are held", self._activation.stop),
            ("stop following the registry", self._registry.stop),
            ("keep the notices", self.notices.close),
            ("keep the good inis", lambda: kept.append(self._folder.close())),
            ("stop the apps", partial(stop_all, self._governor, hurry, self._expect_exits)),
            ("give up its apps that run once in the fleet", self._fleet.close),
            ("end the status line", self._status_line.cancel),
            ("keep the good inis", lambda: asyncio.gather(*kept)),
            ("end the bases", self._bases.close),
            ("write the rest of the history", self.history.close),
            ("remove the control groups", partial(asyncio.to_thread, self._groups.close)),
            ("kill what the apps have left", self._kill_orphans),
            ("tell systemd that it has stopped", partial(self._notifier.status, "stopped")),
        )
        log.info("stopped")

    async def _kill_orphans(self) -> None:
        if killed := await asyncio.to_thread(self._reaper.end):
            log.info("killed %d processes that the apps have left", killed)

    def _expect_exits(self, stopping: Collection[Child]) -> None:
        if stopping:
            longest = max(child.spec.stop_timeout for child in stopping)
            log.info(
                "stopping %d processes, which takes up to %s (stop-timeout); another signal kills"
                " them", len(stopping), format_duration(longest),
            )  # fmt: skip
            self._notifier.extend_timeout(longest + _AFTER_STOPPING_SECONDS)

    async def upgrade(self, before_exec: Callable[[], Awaitable[None]]) -> NoReturn:
        """Become the version that is installed now. `before_exec` is awaited when nothing but the
        exec is left to do. Raises CannotUpgrade, and then nothing has changed."""
        await self._succession.upgrade(before_exec)

    @property
    def share(self) -> Callable[[Sequence[tuple[str, ...]]], Awaitable[Share]] | None:
        """See `emperor.web.daemon.Daemon`."""
        return self._fleet.share

    async def rescan(self) -> None:
        """Read the folder of inis again, and bind sockets again whose path was removed."""
        await self._rescans.rescan()

    async def _feed_watchdog(self) -> None:
        """Send signs of life. A loop that hangs sends none, and systemd restarts the daemon."""
        while interval := self._notifier.watchdog_seconds:
            self._notifier.alive()
            await asyncio.sleep(interval / 2)


def cannot_start(error: OSError) -> CannotStart:
    """The sentence for an error of the operating system before the daemon is ready."""
    where = f"{error.filename}: " if error.filename else ""
    is_denied = isinstance(error, PermissionError) and os.geteuid() != 0
    cure = "; start emperord as root" if is_denied else ""
    return CannotStart(f"cannot start: {where}{error.strerror or error}{cure}")
