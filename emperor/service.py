"""The daemon's parts, wired together, and what happens when they start and stop."""

import asyncio
import gc
import logging
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

from emperor import __version__
from emperor.handover.upgrade import CannotUpgrade, Upgrade
from emperor.linux.accounts import SystemAccounts
from emperor.linux.boot import boot_id
from emperor.linux.limits import descriptors
from emperor.linux.listeners import UnixListeners
from emperor.linux.queues import queue_length
from emperor.linux.watch import Changes, FolderWatch
from emperor.model.daemon_record import config_fingerprint
from emperor.model.ports import Listener, Ports, QueueLength
from emperor.model.settings import Settings
from emperor.model.status import TransitionEvent
from emperor.sources.folder import VassalFolder
from emperor.sources.provision import Provisioner
from emperor.supervisor.events import EventLog
from emperor.supervisor.governor import Governor
from emperor.uwsgi.launcher import UwsgiLauncher
from emperor.uwsgi.resolver import Resolver
from emperor.web.activation import Activation
from emperor.web.control import Control
from emperor.web.drain import Drain
from emperor.web.endpoint import endpoint
from emperor.web.health import Health
from emperor.web.metrics import StartTimes
from emperor.web.pace import Pace
from emperor.web.report import Reporter
from emperor.web.server import serve

log = logging.getLogger("emperord")

CONTROL_GROUP = "emperor"
# Where the kernel does not tell the length of a queue, a herd still goes in small batches.
_UNKNOWN_QUEUE = QueueLength(pending=0, capacity=128)
_STATUS_DELAY_SECONDS = 1.0
# For what is left to do when the last process was killed.
_AFTER_DRAINING_SECONDS = 15.0


class Emperor:
    """One daemon. `tasks` holds all that runs beside the loop's callbacks."""

    def __init__(
        self,
        settings: Settings,
        uwsgi: Path,
        succession: Upgrade,
        tasks: asyncio.TaskGroup,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._succession = succession
        self._notifier = succession.notifier
        self._inherited = succession.inherited
        self._tasks = tasks
        self._loop = loop
        self._chronicle = EventLog()
        ports = Ports(
            listeners=UnixListeners(settings, loop),
            launcher=UwsgiLauncher(uwsgi, settings, loop, succession.origin.open_files),
            store=self._inherited.bag,
            clock=loop,
            wall_clock=partial(datetime.now, UTC),
            chance=random.random,
            cores=len(os.sched_getaffinity(0)),
        )
        self._governor = Governor(settings, ports, self._chronicle)
        self._accounts = SystemAccounts()
        self._resolver = Resolver(uwsgi, settings.vassals_dir)
        self._folder = VassalFolder(settings, self._governor, self._accounts, self._resolver, tasks)
        self._provisioner = Provisioner(settings, self._governor, tasks)
        self._activation = Activation(
            settings,
            self._governor,
            Pace(self._measure, tasks),
            self._folder.refused.keys(),
            self._provisioner.provide,
        )
        self._reporter = Reporter(
            settings,
            self._governor,
            self._folder.refused,
            self._measure,
            self._activation.admission,
        )
        self._start_times = StartTimes()
        self._drain = Drain(settings.run_dir, boot_id())
        self._health = Health(self._drain)
        self._upgrading = asyncio.Lock()
        self._stop = asyncio.Event()
        self._stating: asyncio.TimerHandle | None = None

    async def record(
        self, stop: asyncio.Event, hurry: asyncio.Event, upgrade: asyncio.Event
    ) -> None:
        """Start, serve until `stop`, drain everything; `hurry` kills what still drains. At
        `upgrade` a newer version takes this place, if it can."""
        self._stop = stop
        async with AsyncExitStack() as stack:
            await self._start(stack)
            background = [
                self._tasks.create_task(self._upgrade_when(upgrade)),
                self._tasks.create_task(self._feed_watchdog()),
            ]
            await stop.wait()
            self._notifier.stopping()
            for task in background:
                task.cancel()
            await self._end(hurry)
        self._inherited.leave_nothing()

    async def _start(self, stack: AsyncExitStack) -> None:
        watch = FolderWatch(self._settings.vassals_dir, self._loop, self._changed)
        stack.callback(watch.close)
        stack.enter_context(self._chronicle.reader(self._start_times.read))
        with _nothing_is_garbage():
            took_over = self._take_over()
            await self._folder.rescan()
        await self._open_doors(stack)
        self._inherited.commit(self._settings)
        stack.enter_context(self._chronicle.reader(self._state_later))
        self._notifier.ready()
        if took_over:
            self._governor.restore_listeners()
        self._state()
        log.info(
            "serving %d vassals of %s", len(self._governor.vassals), self._settings.vassals_dir
        )

    def _take_over(self) -> bool:
        """Go on with the vassals of the daemon before. Whether there was one."""
        record, vassals = self._inherited.record, self._inherited.pop_vassals()
        self._governor.restore(vassals)
        is_same = record is not None and record.config_fingerprint == config_fingerprint(
            __version__, self._settings
        )
        self._folder.resume(is_same)
        if vassals:
            running = sum(len(vassal.children) for vassal in self._governor.vassals)
            log.info("took over %d vassals with %d processes", len(vassals), running)
        return bool(vassals)

    async def _open_doors(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        control = Control(self._governor, self._reporter, self._chronicle, self._drain, self)
        activation = self._activation.application(self._health)
        for name, application, group, most in (
            (
                "control.sock",
                control.application(self._start_times),
                CONTROL_GROUP,
                descriptors().limit,
            ),
            ("activate.sock", activation, settings.socket_group, descriptors().accepted),
        ):
            given = self._inherited.pop(name)
            listener = stack.enter_context(
                endpoint(settings.run_dir / name, self._accounts.group(group), given)
            )
            self._inherited.pass_on(name, listener.fileno(), given is None or given.is_ours)
            await stack.enter_async_context(serve(application, listener, most))

    async def _end(self, hurry: asyncio.Event) -> None:
        self._health.stop()
        self._activation.stop()
        self._provisioner.stop()
        self._folder.close()
        gone = asyncio.Event()

        def look() -> None:
            if not len(self._governor.vassals):
                gone.set()

        for vassal in self._governor.vassals:
            self._governor.subscribers.add(vassal.spec.domain, look)
        self._governor.dismiss_all("emperord stops")
        look()
        draining = [child for vassal in self._governor.vassals for child in vassal.children]
        if draining:
            log.info("draining %d processes; another signal kills them", len(draining))
            longest = max(child.spec.stop_timeout for child in draining)
            self._notifier.extend_timeout(longest + _AFTER_DRAINING_SECONDS)
        killer = self._tasks.create_task(self._kill_when(hurry))
        await gone.wait()
        killer.cancel()
        if self._stating:
            self._stating.cancel()
        self._notifier.status("stopped")
        log.info("stopped")

    async def _kill_when(self, hurry: asyncio.Event) -> None:
        await hurry.wait()
        self._governor.hurry()

    async def _upgrade_when(self, asked: asyncio.Event) -> None:
        while True:
            await asked.wait()
            asked.clear()
            with suppress(CannotUpgrade):
                await self.upgrade(_tell_nobody)

    async def upgrade(self, before_exec: Callable[[], Awaitable[None]]) -> NoReturn:
        """Have the version that is installed now take this process over, and not come back.
        `before_exec` is awaited when the exec alone is left to do. Raises CannotUpgrade, which is
        logged."""
        async with self._upgrading:
            try:
                await self._upgrade(before_exec)
            except CannotUpgrade as error:
                level = logging.INFO if self._stop.is_set() else logging.ERROR
                log.log(level, "cannot upgrade: %s; all stays as it is", error)
                raise

    async def _upgrade(self, before_exec: Callable[[], Awaitable[None]]) -> NoReturn:
        await self._succession.prove()
        # What these have started would be nobody's child, and run once more.
        async with (
            self._resolver.paused(),
            self._provisioner.paused(),
            self._succession.quiet(),
        ):
            self._require_all_saved()
            if self._stop.is_set():
                raise CannotUpgrade("emperord stops")
            log.info("upgrading: the new version can start, and takes over now")
            await before_exec()
            self._require_all_saved()  # whatever happened in the meantime
            self._succession.hand_over()

    def _require_all_saved(self) -> None:
        checkpoint = self._governor.checkpoint
        checkpoint.retry(self._governor.vassals)
        if checkpoint.missing:
            raise CannotUpgrade(f"the state of {min(checkpoint.missing)} cannot be kept")

    async def rescan(self) -> None:
        """Read the folder of inis again, and look for sockets that were taken away."""
        await self._folder.rescan()
        self._governor.restore_listeners()

    def _changed(self, changes: Changes) -> None:
        if changes.everything:
            self._tasks.create_task(self.rescan())
        for name in changes.names:
            self._folder.look(name)
        self._state_later()

    async def _measure(self, listener: Listener) -> QueueLength:
        if listener.fd < 0:  # closed since they lined up: there is nothing to overflow
            return _UNKNOWN_QUEUE
        try:
            return await queue_length(listener.fd)
        except OSError as error:
            log.warning("%s", error.strerror or "cannot see how full a queue is: no answer")
            return _UNKNOWN_QUEUE

    async def _feed_watchdog(self) -> None:
        """A loop that is stuck does not come here, and systemd restarts the daemon."""
        while interval := self._notifier.watchdog_seconds:
            self._notifier.alive()
            await asyncio.sleep(interval / 2)

    def _state_later(self, _happening: TransitionEvent | None = None) -> None:
        if self._stating is None:
            self._stating = self._loop.call_later(_STATUS_DELAY_SECONDS, self._state)

    def _state(self) -> None:
        """What `systemctl status` shows."""
        self._stating = None
        counted = Counter(vassal.reported_state.value for vassal in self._governor.vassals)
        states = [f"{number} {state}" for state, number in counted.most_common()]
        if refused := len(self._folder.refused):
            states.append(f"{refused} inis not served")
        self._notifier.status(", ".join(states) or "no vassals")


async def _tell_nobody() -> None:
    """A signal asked for the upgrade, and no signal has an answer."""


@contextmanager
def _nothing_is_garbage() -> Iterator[None]:
    """What comes into being now is here to stay: the collector need not look through it while it
    grows, nor ever after (measured: 0.1 s of a start with 10,000 vassals)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
