"""The registry of a fleet as a source of vassals: pulls the ini of a host that a visitor asks for.

Whatever an ini on the disk answers for is never held up, and no visitor gets an app because the
registry does not answer: who asks for a host that may be there is told to come again.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

from emperor.model.provided import Provided
from emperor.model.pulled import Act, Occasion
from emperor.model.registration import RegisteredAlias, RegisteredIni
from emperor.model.wildcard import is_wildcard, names_of
from emperor.pull.alias_grants import AliasGrants
from emperor.pull.local_copy import LocalCopy
from emperor.pull.pulled_inis import Order
from emperor.pull.verification import Verifier
from emperor.registry.port import CannotReach, RegistryRefused
from emperor.registry.reads import Read, Reads, answered
from emperor.supervisor.governor import Governor
from emperor.supervisor.subscribers import Subscribers

log = logging.getLogger("emperord.search")

# Hosts for which a wildcard answers, and which may get an entry of their own.
_MOST_BENEATH = 1000


class Inis(Protocol):
    """The inis of the folder."""

    def has(self, domain: str) -> bool:
        """Whether there is an ini of that domain, served or not yet."""

    def with_alias(self, host: str) -> str | None:
        """The domain of an ini that names `host` as an alias; None: no ini does."""

    def is_refused(self, domain: str) -> bool:
        """Whether the ini of that domain is not served."""


@dataclass(eq=False)
class Search:
    """Finds entries for hosts, and has them pulled. `patience` is how long an ini that was pulled
    may take until it is served, in seconds."""

    reads: Reads
    verifier: Verifier
    grants: AliasGrants
    local_copy: LocalCopy
    inis: Inis
    governor: Governor
    tasks: asyncio.TaskGroup
    patience: float

    def __post_init__(self) -> None:
        self._searches: dict[tuple[str, str | None], asyncio.Task[Provided]] = {}
        self._judged = Subscribers()
        # The hosts for which a wildcard has answered, without an entry of their own.
        self._beneath: OrderedDict[str, None] = OrderedDict()
        self._is_stopped = False

    def stop(self) -> None:
        """Search for nothing from now on."""
        self._is_stopped = True
        for task in self._searches.values():
            task.cancel()

    def judged(self, domain: str) -> None:
        """The ini of that domain was served or refused, or is gone."""
        if not self.inis.has(domain) and not self._is_stopped:
            self.local_copy.is_gone(domain)
        self._judged.notify(domain)

    async def provide(self, host: str, wildcard: str | None = None) -> Provided:
        """Search for a host that no ini on the disk is for, but for that of a wildcard."""
        if self._is_stopped or self._is_known(host):
            return Provided.NOTHING
        if all(map(self.reads.is_absent, _names(host, wildcard))):
            return Provided.NOTHING
        task = self._start(host, wildcard)
        # A request that is cancelled must not end the search, for others may wait for it.
        await asyncio.wait([task])
        return Provided.NOTHING if task.cancelled() else task.result()

    @property
    def is_busy(self) -> bool:
        """Whether something may be pulled now, as the registry had it a moment ago."""
        return bool(self._searches)

    def _start(self, host: str, wildcard: str | None) -> asyncio.Task[Provided]:
        """The search for a host, which all share who want it."""
        key = host, wildcard
        if task := self._searches.get(key):
            return task
        task = self._searches[key] = self.tasks.create_task(self._search(host, wildcard))
        task.add_done_callback(lambda _: self._searches.pop(key))
        return task

    def written(self, host: str) -> None:
        """The registry has something new for a host."""
        self.reads.written(host)
        if host in self._beneath and not self._is_stopped:
            del self._beneath[host]
            self._start(host, None)

    def _is_known(self, host: str) -> bool:
        inis = self.inis
        return inis.has(host) or inis.with_alias(host) is not None or inis.is_refused(host)

    async def _search(self, host: str, wildcard: str | None) -> Provided:
        try:
            return await self._pull(host, wildcard)
        except (CannotReach, RegistryRefused):
            return Provided.UNSURE
        except Exception:
            log.exception("cannot pull %r: a fault in emperord", host)
            return Provided.UNSURE

    async def _pull(self, host: str, wildcard: str | None) -> Provided:
        order, read = await self._found(host, wildcard)
        if order is None:
            if wildcard is not None:
                self._stay_beneath(host, read)
            return Provided.NOTHING
        if order.domain != host and is_wildcard(order.domain):
            self._stay_beneath(host, read)
        await self.grants.note(order)
        (outcome,) = await self.local_copy.carry_out([order])
        if outcome.is_unfinished:
            return Provided.UNSURE
        if outcome.act is Act.COMPLAIN:
            return Provided.REFUSED
        self.local_copy.grow(order.domain, read)
        if not self.inis.has(order.domain) and not self.inis.is_refused(order.domain):
            # Another file came meanwhile and is gone, or the folder is open to others.
            return Provided.UNSURE
        return await self._served(order.domain)

    async def _found(self, host: str, wildcard: str | None) -> tuple[Order | None, int]:
        """The nearest entry for a host, and the revision at which the registry was read. Raises
        CannotReach and RegistryRefused."""
        names = _names(host, wildcard)
        revision = 0
        # Most hosts have an entry of their own, and the wildcards need not be asked for then.
        for some in (names[:1], names[1:]):
            asked = [name for name in some if not self.reads.is_absent(name)]
            for name, outcome in zip(asked, await self.reads.read_all(asked), strict=True):
                read = answered(outcome)
                revision = revision or read.revision
                order, at = await self._usable(name, read)
                if order is not None:
                    return order, at
        return None, revision

    async def _usable(self, name: str, read: Read) -> tuple[Order | None, int]:
        """What is to be pulled or complained of, of what the registry has for a name; and the
        revision at which it was read."""
        if read.value is None:
            return None, read.revision
        order = self._order(name, read)
        if isinstance(order.entry, RegisteredAlias):
            target = order.entry.alias_of
            read = await self.reads.read(target)
            order = self._order(target, read)
        if order.problem or isinstance(order.entry, RegisteredIni):
            return order, read.revision
        if order.entry is not None and self.local_copy.kept(order.domain):
            await self.local_copy.carry_out([order])  # an older entry must not come back
        return None, read.revision

    def _order(self, name: str, read: Read) -> Order:
        revision = read.written or read.revision
        return self.verifier.order(name, read.value, revision, Occasion.HIT)

    def _stay_beneath(self, host: str, revision: int) -> None:
        """No entry is for the host itself: a wildcard answers, until the registry tells of one."""
        self._beneath[host] = None
        self._beneath.move_to_end(host)
        if len(self._beneath) > _MOST_BENEATH:
            forgotten, _ = self._beneath.popitem(last=False)
            # An entry for it would not be noticed. So its next request asks again.
            self.governor.refuse_wildcard(forgotten)
        if revision:
            self.local_copy.grow(host, revision)

    async def _served(self, domain: str) -> Provided:
        """Wait until what was pulled is served or refused: uWSGI may have to read it."""
        changed = asyncio.Event()
        self.governor.subscribers.add(domain, changed.set)
        self._judged.add(domain, changed.set)
        try:
            async with asyncio.timeout(self.patience):
                while self.governor.vassals.serving(domain) is None:
                    if self.inis.is_refused(domain):
                        break
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            pass  # it is served when it was read
        finally:
            self.governor.subscribers.remove(domain, changed.set)
            self._judged.remove(domain, changed.set)
        return Provided.VASSAL


def _names(host: str, wildcard: str | None) -> list[str]:
    """The names of inis that may answer for a host, the nearest first, before that wildcard."""
    return list(takewhile(lambda name: name != wildcard, names_of(host)))
