"""Follows the registry: has what is held on the disk be as the registry has it.

One watch tells of changes in the buckets of the domains that are held. They are followed after a
moment that is another on each backend, so that the apps of a fleet do not all reload at once, and
in the order in which they were made.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from itertools import islice

from emperor.guarded import guarded
from emperor.model.cluster_state import UNKNOWN
from emperor.model.pulled import Occasion
from emperor.model.registration import bucket_of
from emperor.model.registry_keys import Keys
from emperor.model.section import SettingsError
from emperor.pull.alias_grants import AliasGrants
from emperor.pull.local_copy import AT_ONCE, LocalCopy
from emperor.pull.pulled_inis import Order
from emperor.pull.search import Search
from emperor.pull.verification import Verifier
from emperor.registry.port import (
    CannotReach,
    Changes,
    Connection,
    Engine,
    KeyValue,
    Missed,
    RegistryRefused,
)
from emperor.registry.reachability import Asker, Reachability
from emperor.registry.reads import Reads, answered

log = logging.getLogger("emperord.follower")

# A change is followed after less than this.
JITTER_SECONDS = 0.2
# While a backend gets its domains, the watch is not begun anew for each of them.
_GROWTH_SECONDS = 0.2
_AGAIN_SECONDS = (0.2, 0.5, 1.0, 2.0)
# What could not be followed is tried again.
RETRY_SECONDS = 60.0
_MOST_RETRIED = 256

Connect = Callable[[], AbstractAsyncContextManager[Connection]]


@dataclass(eq=False)
class Follower:
    """Has the inis of this machine be as the registry has them. `connect` may raise SettingsError.
    `chance` is a random number in [0, 1)."""

    connect: Connect
    reads: Reads
    reachability: Reachability
    verifier: Verifier
    grants: AliasGrants
    local_copy: LocalCopy
    search: Search
    chance: Callable[[], float]

    def __post_init__(self) -> None:
        self._keys = Keys("")
        # What has changed and is not followed yet: the newest of each domain.
        self._changed: dict[str, KeyValue | None] = {}
        self._news = asyncio.Event()
        # Up to which revision the watch has told all; 0: it must begin at the revision of now.
        self._told = 0
        # Of the registry to which these belong.
        self._state = UNKNOWN
        # What has to be read again; and whether that is all, since the watch cannot go on.
        self._unread: dict[str, None] = {}
        self._has_missed = False
        # From which revision on the watch has told all.
        self._begun = 0
        # At which revision a bucket was last told of a domain that nobody used here.
        self._unused: dict[int, int] = {}
        # The earliest revision at which a domain was read of which the watch has not told all.
        self._grown_from: int | None = None
        self._limit: asyncio.Timeout | None = None
        self._failures = 0
        self.local_copy.on_growth = self._grow

    async def follow(self) -> None:
        """Follow the registry until this is cancelled."""
        self._unread = dict.fromkeys(await self.local_copy.load())
        self._told = self._begun = self.local_copy.revision
        self._state = self.local_copy.state
        self._has_missed = self._told == 0 and bool(self.local_copy.used())
        while True:
            try:
                async with self.connect() as connection:
                    self._keys = connection.keys
                    self.reads.connect(connection)
                    await self._watch_for_ever(connection.engine)
            except (CannotReach, RegistryRefused, SettingsError, OSError) as error:
                self.reachability.tell(Asker.WATCH, error)
            except Exception as error:
                log.exception("cannot follow the registry: a fault in emperord")
                self.reachability.tell(Asker.WATCH, error)
            finally:
                self.reads.connect(None)
            await self._pause()

    async def _pause(self) -> None:
        longest = _AGAIN_SECONDS[min(self._failures, len(_AGAIN_SECONDS) - 1)]
        self._failures += 1
        await asyncio.sleep(longest * (1 + self.chance()) / 2)

    async def _watch_for_ever(self, engine: Engine) -> None:
        while True:
            try:
                await self._read_again()
                await self._watch(engine)
                self._failures = 0
            except Missed:
                log.info("changes of the registry were missed: all that is here is read again")
                self._changed.clear()
                self._state = UNKNOWN
                await self.local_copy.begin_anew()
                self._has_missed = True
            except CannotReach as error:
                self.reachability.tell(Asker.WATCH, error)
                await self._pause()

    async def _read_again(self) -> None:
        """Read what a watch does not tell."""
        if self._has_missed:
            self._unread = dict.fromkeys(self.local_copy.used())
            self._told = self._begun = 0
        while some := list(islice(self._unread, AT_ONCE)):
            read = [answered(each) for each in await self.reads.read_all(some)]
            await self._carry_out([
                self._order(name, each.value, each.written or each.revision)
                for name, each in zip(some, read, strict=True)
            ])  # fmt: skip
            for name, each in zip(some, read, strict=True):
                del self._unread[name]
                if self._has_missed:
                    self._told = self._begun = min(self._told or each.revision, each.revision)
        self._has_missed = False

    async def _watch(self, engine: Engine) -> None:
        """Take what changes, until there are more buckets to watch."""
        if not self._told:
            # With no domain it tells whether the registry can be reached.
            first = self._keys.bucket(min(self.local_copy.buckets, default=0))
            self._told = self._begun = (await engine.page(first, limit=1)).revision
        # From here to the limit nothing waits: a bucket that came meanwhile would not be watched.
        if self._grown_from is not None:
            self._told = min(self._told, self._grown_from)
            self._begun = min(self._begun, self._told)
            self._grown_from = None
        spans = [self._keys.bucket(number) for number in sorted(self.local_copy.buckets or {0})]
        self._limit = limit = asyncio.timeout(None)
        try:
            async with (
                limit,
                aclosing(engine.watch(spans, self._told, self._state)) as stream,
            ):
                async for changes in stream:
                    self._failures = 0
                    self.reachability.tell(Asker.WATCH, None)
                    self._take(changes)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            self._limit = None

    def _grow(self, bucket: int, is_new: bool, revision: int) -> None:
        """A domain of a bucket, which may be a new one, is used as it was at that revision. What
        has changed since may have been told when nobody used it, or by no watch at all."""
        known_from = max(self._begun, self._unused.get(bucket, 0))
        if self._limit is not None and not is_new and revision >= known_from:
            return
        self._grown_from = min(self._grown_from or revision, revision)
        if self._limit is not None and self._limit.when() is None:
            self._limit.reschedule(asyncio.get_running_loop().time() + _GROWTH_SECONDS)

    def _take(self, changes: Changes) -> None:
        for entry in changes.written:
            domain = self._keys.domain(entry.key)
            if entry.key != self._keys.vassal(domain):
                continue  # who may write below one name may not write others
            self.search.written(domain)
            if not self.local_copy.uses(domain):
                self._unused[bucket_of(domain)] = entry.revision
            elif self.local_copy.is_news(domain, entry.revision):
                self._changed[domain] = entry
        for key in changes.gone:
            domain = self._keys.domain(key)
            if self.local_copy.holds(domain) and key == self._keys.vassal(domain):
                self._changed[domain] = None
        self._told = changes.revision
        if changes.state != UNKNOWN:
            self._state = changes.state
        known = self.local_copy.revision, self.local_copy.state
        if self._changed or (self._told, self._state) != known:
            self._news.set()

    async def apply(self) -> None:
        """Follow changes, until this is cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(self.chance() * JITTER_SECONDS)
            self._news.clear()
            changed, self._changed = self._changed, {}
            # A restarted daemon watches all buckets from there.
            told = min(self._told, self._grown_from or self._told)
            state = self._state
            # What is pulled now may be older.
            is_sure = not self.search.is_busy
            is_applied = False
            with guarded(log, "follow changes of the registry"):
                await self._apply(changed, told)
                is_applied = True
            self._has_missed |= not is_applied
            if is_sure and not (self.local_copy.unfinished or self._unread or self._has_missed):
                self.local_copy.followed_up_to(told, state)

    async def _apply(self, changed: dict[str, KeyValue | None], told: int) -> None:
        left = iter(changed.items())
        while some := list(islice(left, AT_ONCE)):
            orders = [
                self._order(
                    domain, entry.value if entry else None, entry.revision if entry else told
                )
                for domain, entry in some
            ]
            await self._carry_out(orders)

    def _order(self, domain: str, value: bytes | None, revision: int) -> Order:
        # An alias that becomes an ini of its own is wanted, since somebody has asked for it.
        occasion = Occasion.HIT if self.local_copy.alias_of(domain) else Occasion.CHANGE
        return self.verifier.order(domain, value, revision, occasion)

    async def _carry_out(self, orders: Collection[Order]) -> None:
        """Follow the registry, as far as it can be read which aliases the inis may have."""
        ready = []
        for order in orders:
            try:
                await self.grants.note(order)
                ready.append(order)
            except (CannotReach, RegistryRefused) as error:
                self.local_copy.postpone(order.domain, f"cannot read its aliases: {error}")
        await self.local_copy.carry_out(ready)

    async def retry(self) -> None:
        """Try again what could not be followed, until this is cancelled."""
        while True:
            await self.local_copy.complained.wait()
            await asyncio.sleep(RETRY_SECONDS)
            if not self.local_copy.complaints:
                self.local_copy.complained.clear()
            elif self.reachability.is_reached:
                with guarded(log, "follow what could not be followed"):
                    await self._retry(list(islice(self.local_copy.complaints, _MOST_RETRIED)))

    async def _retry(self, domains: Collection[str]) -> None:
        orders = []
        for domain in domains:
            # Others have their turn, also if this one is never put right.
            self.local_copy.complaints.move_to_end(domain)
        for domain, read in zip(domains, await self.reads.read_all(domains), strict=True):
            if isinstance(read, Exception):
                continue
            revision = read.written or read.revision
            order = self._order(domain, read.value, revision)
            if self.local_copy.holds(domain):
                orders.append(order)
            elif not order.problem:
                self.local_copy.withdraw(domain)  # the next hit pulls it
        left = iter(orders)
        while some := list(islice(left, AT_ONCE)):
            await self._carry_out(some)
        self._news.set()
