"""Lets an app that must not run twice run on one machine of the fleet alone: on the one that holds
a key of the registry, with a lease that it renews.

Where the registry does not answer, an app with `once = true` is stopped before its lease can have
ended elsewhere. A process of its own (linux/fence) sees to that even if this daemon hangs. One with
`once = soft` goes on, and also starts: then two may run, which the schedules of most sites survive
better than a site that is down whenever the registry is.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial

from emperor.guarded import guarded, kept_up
from emperor.model.log_fields import about
from emperor.model.once import (
    ADOPT_SECONDS,
    HANDOVER_SECONDS,
    KILL_AFTER_SECONDS,
    LEASE_SECONDS,
    RENEW_SECONDS,
    Holder,
)
from emperor.model.permits import Permission
from emperor.model.snapshot import ProcessRef
from emperor.model.spec import Once as Rule
from emperor.model.spec import Spec
from emperor.registry.blocked_apps import BlockedApps
from emperor.registry.faults import faults_as_silence
from emperor.registry.link import Link
from emperor.registry.migration import Migration
from emperor.registry.migration_requests import MigrationRequests
from emperor.registry.once_app import OnceApp, goes_to, unreached
from emperor.registry.once_fence import Fence, OnceFence
from emperor.registry.once_keys import OnceKeys
from emperor.registry.once_lease import OnceLease
from emperor.registry.own_names import OwnNames
from emperor.registry.port import CannotReach, RegistryRefused
from emperor.registry.reachability import Asker

log = logging.getLogger("emperord.once")

_WHAT = "look after apps that must not run twice"
_AWAY = (CannotReach, RegistryRefused, TimeoutError)
# How long a visitor waits for a registry that does not answer.
_ASK_SECONDS = 3.0
# After a fault in what lasts as long as the daemon.
_RETRY_SECONDS = 2.0


class Once:
    """The apps of this machine that must not run twice. `boot_clock` tells seconds, also of those
    in which the machine slept."""

    def __init__(
        self,
        link: Link,
        me: OwnNames,
        fence: Fence,
        tasks: asyncio.TaskGroup,
        boot_clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._link = link
        self._reached = link.teller(Asker.ONCE)
        self._me = me
        self._tasks = tasks
        self._clock = boot_clock
        self._loop = asyncio.get_running_loop()
        self.permission: Permission | None = None
        self._apps: dict[str, OnceApp] = {}
        self._keys: OnceKeys | None = None
        self._lease = OnceLease(boot_clock, self._confirmed, self._cut_off, self._lost)
        self._fence = OnceFence(fence, self._apps, self._lease)
        self._work = asyncio.Event()
        self._ready = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []
        self._blocked = BlockedApps(self._apps, me, self._free, self._work)
        self._requests = MigrationRequests(link, me.now, tasks)

    # What the governor asks and tells (model/permits.Permits).

    def has(self, spec: Spec) -> bool:
        """Whether a process of it may boot. If not, the registry is asked."""
        if spec.once is Rule.NO:
            return True
        app = self._app(spec)
        is_sure = self._lease.is_sure() or app.rule is Rule.SOFT
        if app.revision is not None and is_sure and not app.goes_to:
            return True
        if app.asking is None:
            self._begin(self._ask, spec.domain, app)
        return False

    def settled(self, spec: Spec, processes: Collection[ProcessRef], *, waits: bool) -> None:
        """Have its processes fenced; give the app up when it has none."""
        if spec.once is Rule.NO:
            self._forget(spec.domain)
            return
        app = self._app(spec)
        app.waits = waits or any(process.pid is None for process in processes)
        before, app.groups = app.groups, {r.pid: r.group for r in processes if r.pid is not None}
        is_new = app.revision is None and app.why_not is None and app.asking is None
        if app.groups and is_new:
            # Of the daemon before, or its ini says so only now.
            app.deadline = self._clock() + ADOPT_SECONDS
            self._begin(self._ask, spec.domain, app)
        if app.groups != before:
            self._fence.tell()
        self._give_up_unused(spec.domain, app)
        if not (app.is_used or app.waits) and app.why_not is None and before:
            self._loop.call_soon(self._want_again, spec.domain)

    def _give_up_unused(self, domain: str, app: OnceApp) -> None:
        """Give the key up if the last process of an app has ended, and none is to come."""
        if app.groups or app.waits or app.asking:
            return
        app.deadline = None
        if app.revision is not None:
            self._begin(self._give_up, domain, app)

    def _forget(self, domain: str) -> None:
        """The ini of an app does not say any more that it must not run twice."""
        if (app := self._apps.pop(domain, None)) is None:
            return
        if app.asking:
            app.asking.cancel()
        if self._keys and app.is_used:
            self._keys.leave(domain)
        if app.groups:
            self._fence.tell()
        self._work.set()
        self._loop.call_soon(self._is_free, domain)

    def _is_free(self, domain: str) -> None:
        if self.permission:
            self.permission.permit(domain)
            self._want_again(domain)

    def why_not(self, domain: str) -> str | None:
        """Why an app may not run here."""
        app = self._apps.get(domain)
        return app.why_not if app else None

    def turned_away(self, domain: str) -> None:
        """A visitor was told why an app does not run here."""
        if self._apps[domain].runs_elsewhere:
            self._requests.tell(domain)

    # The life of the connection.

    def start(self, permission: Permission) -> None:
        """Ask the registry from now on, and tell what it says."""
        self.permission = permission
        parts = (self._connect, self._renew, self._watch, self._give_away)
        going_on = (kept_up(log, _WHAT, part, _RETRY_SECONDS) for part in parts)
        self._running = [self._tasks.create_task(each) for each in going_on]

    async def stop(self) -> None:
        """The daemon stops for good, and its apps have ended: others may have them. Where a fault
        has left some, the lease ends by itself, and the fence kills them before that."""
        asking = [app.asking for app in self._apps.values() if app.asking]
        for task in (*self._running, *asking):
            task.cancel()
        if left := [domain for domain, app in self._apps.items() if app.groups]:
            self._lease.close()
            log.error(
                "this machine does not give up its lease, for these still run: %s; the lease ends"
                " by itself, and those with `once = true` are killed before", ", ".join(left),
            )  # fmt: skip
            return
        with guarded(log, "give up the lease of its apps"), suppress(*_AWAY):
            async with asyncio.timeout(_ASK_SECONDS):
                if self._keys is not None:
                    await self._lease.end(self._keys.engine)
            self._me.forget()
        self._lease.close()
        self._fence.close()

    async def _connect(self) -> None:
        self._keys = OnceKeys(await self._link.connection(), self._me, self._lease)
        self._ready.set()

    async def _watch(self) -> None:
        await self._ready.wait()
        assert self._keys
        await self._blocked.follow(self._keys.engine, self._keys.names)

    def _begin(
        self, ask: Callable[[str, OnceApp], Awaitable[None]], domain: str, app: OnceApp
    ) -> None:
        app.asking = self._tasks.create_task(_guarded(partial(ask, domain, app)))

    def _app(self, spec: Spec) -> OnceApp:
        app = self._apps.setdefault(spec.domain, OnceApp(spec.once))
        app.rule = spec.once
        return app

    async def _ask(self, domain: str, app: OnceApp) -> None:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                await self._ready.wait()
                app.why_not = await self._claim(domain, app)
            self._reached(None)
        except _AWAY as error:
            self._tell(error)
            app.why_not = None if app.rule is Rule.SOFT else unreached(error)
            if app.rule is Rule.SOFT:
                log.warning("%s runs without its lease: %s", domain, error, extra=about(domain))
                app.revision = app.revision or 0
        finally:
            app.asking = None
        assert self.permission
        if app.why_not is None:
            app.deadline, app.is_cut_off = None, False
            self._fence.tell()
            self.permission.permit(domain)
        elif app.goes_to:
            self.permission.forbid(domain, app.why_not)
        else:
            self._forbid(domain, app)
        self._give_up_unused(domain, app)
        self._work.set()

    async def _claim(self, domain: str, app: OnceApp) -> str | None:
        """Take the key of an app. Returns why it may not run here. Raises what engines raise."""
        assert self._keys
        if app.goes_to:
            return goes_to(app.goes_to)
        with faults_as_silence(log, f"take the key of {domain}"):
            taken = await self._keys.take(domain)
        match taken:
            case int(revision):
                app.revision = revision
                if app.given_at is not None and self._clock() - app.given_at < HANDOVER_SECONDS:
                    self._requests.came(domain)
                app.given_at = None
                return None
            case why:
                return why

    async def _give_up(self, domain: str, app: OnceApp) -> None:
        """Give up the key of an app without a process: another machine may run it."""
        assert self._keys and self.permission
        revision, app.revision = app.revision or 0, None
        try:
            with (
                suppress(*_AWAY),
                faults_as_silence(log, f"give up the key of {domain}", TimeoutError),
            ):
                async with asyncio.timeout(_ASK_SECONDS):
                    if app.goes_to and revision:
                        await self._keys.hand_over(domain, revision, app.goes_to)
                    else:
                        await self._keys.give_up(domain, revision)
        finally:
            app.asking = None
            self._work.set()
        if app.goes_to and not app.groups:
            self._loop.call_later(HANDOVER_SECONDS, self._has_given, domain, app)
        if app.groups or app.why_not is not None:
            return
        self._apps.pop(domain, None)
        self.permission.permit(domain)  # it asks again, if it waits meanwhile

    def _forbid(self, domain: str, app: OnceApp) -> None:
        app.revision = None
        self._work.set()
        if not app.runs_elsewhere:
            self._blocked.look_again()
        log.info("%s is not run here: %s", domain, app.why_not, extra=about(domain))
        assert self.permission
        self.permission.forbid(domain, app.why_not or "")

    def _free(self, domain: str, is_given: bool = False) -> None:
        """Nobody holds it any more, or it `is_given` to this machine."""
        app = self._apps.get(domain)
        if app is None or app.why_not is None or app.goes_to:
            return
        app.why_not, app.is_cut_off = None, False
        app.given_at = self._clock() if is_given else None
        self._want_again(domain)

    def _want_again(self, domain: str) -> None:
        assert self.permission
        self.permission.want_again(domain, "it may run on this machine again")

    async def _give_away(self) -> None:
        """Give apps to other machines, to which their visitors come."""
        await self._ready.wait()
        assert self.permission
        visitors = self.permission.since_visitor
        migration = Migration(self._requests, self._apps, self._clock, visitors, self._give)
        await migration.follow(self._work)

    def _give(self, domain: str, app: OnceApp, to: Holder) -> None:
        """The key goes when its last process has ended (`settled`)."""
        assert self.permission
        app.goes_to, app.why_not = to, goes_to(to)
        log.info("%s: %s", domain, app.why_not, extra=about(domain))
        self.permission.forbid(domain, app.why_not)

    def _has_given(self, domain: str, app: OnceApp) -> None:
        """The other machine has had its time to take it."""
        if app.goes_to:
            app.goes_to = None
            self._free(domain)

    # What becomes of the lease.

    def _confirmed(self) -> None:
        self._fence.tell()
        for domain, app in list(self._apps.items()):
            if app.is_cut_off:
                self._free(domain)
        self._work.set()

    def _cut_off(self) -> None:
        """The lease was not renewed in time, and may end before it is."""
        for domain, app in list(self._apps.items()):
            if app.rule is Rule.STRICT and app.revision is not None:
                app.why_not = "its lease could not be renewed, and it may run once in the fleet"
                app.is_cut_off = True
                # A later lease does not move it: another machine may have the app by then.
                app.deadline = self._lease.kill_at
                if self._keys:
                    self._keys.leave(domain)
                self._forbid(domain, app)
            elif app.revision:
                app.revision = 0

    def _lost(self) -> None:
        """The lease has ended: whoever asks first has the apps."""
        self._cut_off()
        soon = self._clock() + LEASE_SECONDS - KILL_AFTER_SECONDS
        for app in self._apps.values():
            app.is_cut_off, app.goes_to = False, None
            app.deadline = None if app.deadline is None else min(app.deadline, soon)
        self._fence.tell()
        self._claim_missing()

    def _claim_missing(self) -> None:
        for domain, app in list(self._apps.items()):
            if app.revision == 0 and app.asking is None:
                self._begin(self._claim_again, domain, app)

    async def _claim_again(self, domain: str, app: OnceApp) -> None:
        """Take the key of an app with `once = soft` that runs on without a lease."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                app.why_not = await self._claim(domain, app)
        except _AWAY:
            pass  # it is tried again when the lease was renewed
        finally:
            app.asking = None
        if app.why_not:
            self._forbid(domain, app)
        self._give_up_unused(domain, app)

    async def _renew(self) -> None:
        await self._ready.wait()
        while True:
            self._work.clear()
            assert self._keys
            needs_lease = any(a.revision is not None or a.is_cut_off for a in self._apps.values())
            if not needs_lease and not self._keys.has_left:
                await self._work.wait()
            await asyncio.sleep(RENEW_SECONDS)
            try:
                with faults_as_silence(log, "renew the lease of its apps", TimeoutError):
                    await self._lease.renew(self._keys.engine)
                    self._claim_missing()
                    await self._keys.give_back(self._uses)
                self._reached(None)
            except _AWAY as error:
                self._tell(error)

    def _uses(self, domain: str) -> bool:
        return domain in self._apps and self._apps[domain].is_used

    def _tell(self, error: Exception) -> None:
        """The registry was asked in vain. One that refuses has answered."""
        if not isinstance(error, RegistryRefused):
            self._reached(error)


async def _guarded(work: Callable[[], Awaitable[None]]) -> None:
    with guarded(log, _WHAT):
        await work()
