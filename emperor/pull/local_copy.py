"""Carries out what the registry says: has the files changed in a thread, has the folder of inis
read them at once, and tells what was not followed."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from emperor.guarded import guarded
from emperor.linux.one_thread import OneThread
from emperor.linux.pulled_journal import Journal
from emperor.model.cluster_state import ClusterState
from emperor.model.log_fields import about
from emperor.model.pulled import Act, Occasion, OnDisk, Pulled
from emperor.model.registration import RegisteredIni, bucket_of
from emperor.pull.pulled_inis import PUTS, Order, PulledInis, PullOutcome

log = logging.getLogger("emperord.local_copy")

# So many changes have their files written between two turns of the thread, in which a first hit has
# its own file written.
AT_ONCE = 16
# Anybody can ask for names whose entries are broken.
_MOST_COMPLAINTS = 1_000
# A registry that has lost all entries is told in a few lines.
_MOST_LINES, _LINES_SECONDS = 20, 60.0


class Folder(Protocol):
    """The folder of inis."""

    def read_now(self, file: str) -> None:
        """Act on the difference between that file and what is in service."""

    def changed(self, files: Iterable[str]) -> None:
        """Act soon on the difference between these files and what is in service."""

    def read_anew(self, files: Collection[str]) -> None:
        """Act soon on these files, also on those that have not changed."""


class LocalCopy:
    """What was pulled. `clock` tells monotonic seconds."""

    def __init__(
        self,
        inis: PulledInis,
        journal: Journal,
        folder: Folder,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inis = inis
        self._journal = journal
        self._folder = folder
        self._clock = clock
        self._thread = OneThread("pulled")
        self._loading = asyncio.Event()
        # Why the registry is not followed, by domain.
        self.complaints: OrderedDict[str, str] = OrderedDict()
        # The domains that are held and not as the registry has them. There is a complaint of each,
        # by which it is tried again.
        self.unfinished: set[str] = set()
        # Those of the other complaints, the oldest first.
        self._passing: OrderedDict[str, None] = OrderedDict()
        # At which revision what is known of a domain was written, so that what a watch tells late
        # is not taken for a step back.
        self._latest: dict[str, int] = {}
        # Where the domains are that are held.
        self.buckets: set[int] = set()
        # Is called when a domain is used, with its bucket, whether that is a new one, and the
        # revision at which the domain was read.
        self.on_growth: Callable[[int, bool, int], None] = lambda *_: None
        # The aliases of each domain, and the domain of each alias.
        self._grants: dict[str, frozenset[str]] = {}
        self._targets: dict[str, str] = {}
        # Set while there are complaints, and perhaps longer.
        self.complained = asyncio.Event()
        self._lines = 0
        self._lines_from = 0.0

    @property
    def revision(self) -> int:
        """The revision of the registry up to which all that is held here is as the registry has
        it."""
        return self._journal.revision

    @property
    def state(self) -> ClusterState:
        """The state of the registry at that revision."""
        return self._journal.state

    def held(self) -> list[str]:
        """The domains whose inis were pulled and are on the disk."""
        # The thread may change the journal meanwhile.
        return [each.domain for each in list(self._journal.domains.values()) if each.is_held]

    def kept(self, domain: str) -> Pulled | None:
        """What is kept of a domain."""
        return self._journal.domains.get(domain)

    def used(self) -> list[str]:
        """The domains that are held, and the aliases that somebody has asked for."""
        return [each.domain for each in list(self._journal.domains.values()) if each.is_used]

    def uses(self, domain: str) -> bool:
        """Whether changes of the domain concern this backend."""
        kept = self._journal.domains.get(domain)
        return kept is not None and kept.is_used

    def alias_of(self, host: str) -> str | None:
        """The domain that answers for a host, as the registry has it; None: it is no alias."""
        kept = self._journal.domains.get(host)
        return (kept.alias_of or None) if kept else None

    def grants_of(self, domain: str) -> frozenset[str]:
        """The aliases that the registry gives to a domain, of those that its ini lists."""
        return self._grants.get(domain, frozenset())

    def _index(self, alias: str) -> None:
        """Have the ini that has got or lost that alias read again."""
        before, now = self._targets.get(alias), self.alias_of(alias)
        if before == now:
            return
        self._targets.pop(alias, None)
        if before is not None:
            self._grants[before] -= {alias}
        if now is not None:
            self._targets[alias] = now
            self._grants[now] = self.grants_of(now) | {alias}
        self._folder.read_anew([f"{domain}.ini" for domain in (before, now) if domain])

    def holds(self, domain: str) -> bool:
        """Whether its ini was pulled and is on the disk."""
        kept = self._journal.domains.get(domain)
        return kept is not None and kept.is_held

    async def load(self) -> set[str]:
        """Go on with what an earlier daemon has left. Returns the domains to be read again."""
        torn: set[str] = set()
        with guarded(log, "look at the inis that were pulled"):
            try:
                torn = await self._thread.do(self._load)
            except OSError as error:
                log.error("cannot look at the inis that were pulled: %s", error)
        self._loading.set()
        return torn

    def prepare(self) -> None:
        """Read what an earlier daemon has left, before the folder of inis is read."""
        self._journal.load()
        for kept in self._journal.domains.values():
            if kept.alias_of:
                self._targets[kept.domain] = kept.alias_of
                self._grants[kept.alias_of] = self.grants_of(kept.alias_of) | {kept.domain}

    def _load(self) -> set[str]:
        try:
            return self._inis.load()
        finally:
            kept = list(self._journal.domains.values())
            self.buckets = {bucket_of(each.domain) for each in kept if each.is_used}
            # Those of a registry in the place of which there is another one count for nothing.
            known = [each for each in kept if each.revision <= self._journal.revision]
            self._latest = {each.domain: each.revision for each in known}

    def is_news(self, domain: str, revision: int) -> bool:
        """Whether what was written at that revision is newer than what is known."""
        return revision > self._latest.get(domain, 0)

    async def begin_anew(self) -> None:
        """The registry is another one, or an older one: its revisions mean nothing any more."""
        await self._thread.do(lambda: None)  # what it does now is of the one before
        self._latest.clear()

    async def carry_out(self, orders: Collection[Order]) -> list[PullOutcome]:
        """Follow the registry. What was read before a newer entry of its domain, which is followed
        already, changes nothing."""
        await self._loading.wait()
        current = [order for order in orders if not self._is_late(order)]
        for order in current:
            self._latest[order.domain] = max(self._latest.get(order.domain, 0), order.revision)
        outcomes = await self._thread.do(lambda: self._inis.carry_out(current))
        for outcome in outcomes:
            self._take(outcome)
        return outcomes

    def _is_late(self, order: Order) -> bool:
        is_wanted = order.occasion is Occasion.HIT
        return not is_wanted and order.revision < self._latest.get(order.domain, 0)

    def _take(self, outcome: PullOutcome) -> None:
        order, file = outcome.order, f"{outcome.order.domain}.ini"
        if outcome.complaint:
            if outcome.is_unfinished or self.holds(order.domain):
                self.postpone(order.domain, outcome.complaint)
            else:
                self._complain(order.domain, outcome.complaint)
            return
        self.withdraw(order.domain)
        if outcome.act in PUTS and isinstance(order.entry, RegisteredIni):
            log.info(
                "%s: the ini of serial %d came from the registry",
                order.domain, order.entry.serial, extra=about(order.domain),
            )  # fmt: skip
            if order.occasion is Occasion.HIT:
                self._folder.read_now(file)
            else:
                self._folder.changed([file])
        self._index(order.domain)
        if outcome.act in (Act.REMOVE, Act.SET_ASIDE):
            log.info("%s: the registry has removed it", order.domain, extra=about(order.domain))
            self._folder.changed([file])

    def grow(self, domain: str, revision: int) -> None:
        """Have changes of that domain be told from that revision on."""
        bucket = bucket_of(domain)
        is_new = bucket not in self.buckets
        self.buckets.add(bucket)
        self.on_growth(bucket, is_new, revision)

    def postpone(self, domain: str, why: str) -> None:
        """What the registry has for a domain is followed later."""
        self.unfinished.add(domain)
        self._complain(domain, why)

    def withdraw(self, domain: str) -> None:
        """A domain is followed as it should be: drop the complaint about it."""
        self.complaints.pop(domain, None)
        self._passing.pop(domain, None)
        self.unfinished.discard(domain)

    def _complain(self, domain: str, why: str) -> None:
        is_new = self.complaints.get(domain) != why
        self.complaints[domain] = why
        self.complained.set()
        if domain in self.unfinished:
            self._passing.pop(domain, None)
        else:
            self._passing[domain] = None
        if len(self._passing) > _MOST_COMPLAINTS:
            del self.complaints[self._passing.popitem(last=False)[0]]
        if not is_new:
            return
        if self._clock() - self._lines_from > _LINES_SECONDS:
            self._lines, self._lines_from = 0, self._clock()
        self._lines += 1
        if self._lines <= _MOST_LINES:
            log.warning("%s: %s", domain, why, extra=about(domain))
        elif self._lines == _MOST_LINES + 1:
            log.warning("more of that within a minute is not logged; `emperorctl status` counts it")

    def followed_up_to(self, revision: int, state: ClusterState) -> None:
        """All that is held is as the registry in that state had it at that revision."""
        if (revision, state) != (self.revision, self.state):
            self._thread.do_later(lambda: self._inis.advance(revision, state))

    async def forget(self, domains: Collection[str]) -> None:
        """Take inis off the disk that nobody has used."""
        await self._loading.wait()
        for domain in await self._thread.do(lambda: self._inis.forget(domains)):
            log.info(
                "%s is taken off this disk: nobody has used it for registry-forget; the next hit"
                " pulls it again",
                domain, extra=about(domain),
            )  # fmt: skip
            self.withdraw(domain)
            self._folder.changed([f"{domain}.ini"])

    def is_gone(self, domain: str) -> None:
        """The file is not in the folder any more."""
        if self.holds(domain):
            self._thread.do_later(lambda: self._inis.note_missing(domain))

    def is_edited(self, domain: str) -> bool:
        """Whether the ini was changed in place since it was pulled."""
        return self._inis.state(domain) is OnDisk.EDITED

    def close(self) -> None:
        """Change nothing from now on."""
        self._thread.do_later(self._journal.close)
        self._thread.close()
