"""Decides what becomes of a spec that a source of vassals has read: the governor admits or revises
a vassal, or the ini is refused.

A broken ini never takes a site down. The last good spec stays in service, and its status names the
error.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager

from emperor.linux.limits import descriptors
from emperor.model.claims import Claims, Conflict, without_aliases
from emperor.model.fd_budget import limit_for
from emperor.model.lifecycle import State
from emperor.model.log_fields import about
from emperor.model.ports import CannotListen
from emperor.model.refusal import Refusal, RefusalReason
from emperor.model.spec import Spec, Stamp
from emperor.sources.claim_holders import ClaimHolders, Note, has_better_right
from emperor.sources.refusals import Refusals
from emperor.supervisor.governor import Governor
from emperor.supervisor.records import Vassal
from emperor.supervisor.vassals import FAULT
from emperor.supervisor.versions import newest

log = logging.getLogger("emperord.intake")

# An app of a daemon that was killed keeps its socket for two seconds more.
RETRY_SECONDS = 3.0
# A killed process that waits for a file system of its own never ends.
PATIENCE_SECONDS = 5.0
ROOT = 0


class Intake:
    """Passes specs on to the governor. `retry` is called with the names of refused inis that should
    be read again, since the reason for their refusal may be gone. `note` keeps for later daemons
    who won a conflict."""

    def __init__(
        self,
        governor: Governor,
        retry: Callable[[Collection[str]], None],
        note: Note | None = None,
    ) -> None:
        self._governor = governor
        self._retry = retry
        self._claims = Claims()
        self._claim_holders = ClaimHolders(note)
        self._refusals = Refusals()
        # The domains whose ini is broken while an older version serves, and some mended ones.
        self._complained: set[str] = set()
        # The aliases that domains lack, and those of some that have all of them again.
        self._without_aliases: dict[str, frozenset[str]] = {}
        # The inis for which others had to go, until those are gone.
        self._awaiting: list[str] = []
        # The inis whose names and sockets have become free, until the others are read again.
        self._gone: list[str] = []
        budget = descriptors()
        self._most = budget.vassals
        self._limit_reached = (
            f"the limit on open files, {budget.limit}, holds {self._most} vassals; restart"
            " emperord with LimitNOFILE= of the unit raised"
        )
        self._logged_beyond_limit = 0
        # At the start the number of vassals says as much as thousands of lines.
        self._logs_each = False
        self._is_closed = False
        # Is called with each domain whose ini came, or changed, while the daemon runs.
        self.on_change: Callable[[str], None] = _ignore
        # Is called with each domain whose ini was served or refused, or is gone.
        self.on_judged: Callable[[str], None] = _ignore

    @property
    def refused(self) -> Mapping[str, Refusal]:
        """The inis that are not served, by their names without the suffix."""
        return self._refusals.by_domain

    @property
    def is_closed(self) -> bool:
        """Whether the daemon stops, so that nothing is admitted or revised any more."""
        return self._is_closed

    @property
    def earlier_claim_holders(self) -> tuple[str, ...]:
        """The inis that had what other inis claim, when an earlier daemon ended."""
        return self._claim_holders.earlier

    def close(self) -> None:
        """Admit and revise nothing from now on."""
        self._is_closed = True

    def batch(self) -> AbstractContextManager[None]:
        """Save the vassals that the block admits in few messages."""
        return self._governor.checkpoint.batch()

    def resume(self) -> list[tuple[str, Stamp | None]]:
        """Take the vassals that the governor restored into account. Returns, for each vassal that
        stays in service, the name and the stamp of its ini."""
        served = []
        for vassal in self._governor.vassals:
            spec, stamp = newest(vassal)
            self._claims.take(spec)
            if vassal.ini_error:
                self._complained.add(vassal.spec.domain)
            if spec.taken_aliases:
                self._without_aliases[spec.domain] = frozenset(spec.taken_aliases)
            if vassal.state is State.REMOVED:
                self._retry_others_when_gone(spec)
            else:
                served.append((spec.ini, stamp))
        return served

    def unserved(self) -> list[str]:
        """The names of the inis that are refused, broken while an older version serves, or served
        without some of their aliases."""
        vassals = map(self._governor.vassals.get, self._complained)
        broken = {v.spec.domain: v.spec.ini for v in vassals if v is not None and v.ini_error}
        self._complained = set(broken)
        found = map(self._governor.vassals.get, self._without_aliases)
        partly = {v.spec.domain: v.spec.ini for v in found if v and newest(v)[0].taken_aliases}
        self._without_aliases = {domain: self._without_aliases[domain] for domain in partly}
        refused = [refusal.file for refusal in self.refused.values()]
        return refused + sorted({*broken.values(), *partly.values()})

    def end_scan(self) -> None:
        """All inis were read. From now on each new vassal gets a line in the log."""
        self._logs_each = True
        self._claim_holders.save()
        self._log_beyond_limit()

    def serve(self, spec: Spec, stamp: Stamp, text: bytes = b"", *, is_good: bool = False) -> None:
        """Admit the vassal, or revise it; or refuse the spec. `text` is what it was made of.
        `is_good`: the app of an earlier daemon has served by it."""
        if self._is_closed:
            return
        if conflict := self._conflict_after_claim(spec, is_good=is_good):
            self._claim_holders.add(spec.ini, conflict.holder)
            self._refuse_conflict(spec, conflict)
            self._save_holders()
            return
        self._drop_holder(spec.ini)
        spec = self._claims.without_taken(spec)
        vassal = self._governor.vassals.get(spec.domain)
        if vassal is None and len(self._governor.vassals) >= self._most:
            self._refuse_spec(spec, RefusalReason.TOO_MANY_VASSALS, self._limit_reached)
            if self._logs_each and not self._logged_beyond_limit:
                self._log_beyond_limit()
            return
        if vassal is not None and self._must_go(vassal, spec):
            return
        has_changed = vassal is not None and not _is_in_service(vassal, spec, stamp)
        try:
            if vassal is None:
                self._governor.admit(spec, stamp, text, is_good=is_good)
            elif has_changed:
                self._revise(vassal, spec, stamp, text)
        except CannotListen as error:
            before = self._problem(spec.domain)
            self._refuse_spec(spec, RefusalReason.CANNOT_LISTEN, str(error))
            if before != self._problem(spec.domain):
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._retry, [spec.ini])
            return
        self._claims.take(spec)
        self._note_aliases(spec)
        is_new = vassal is None and self._logs_each
        if is_new:
            log.info("%s: listening on %s", spec.domain, spec.socket, extra=about(spec.domain))
        if self._refusals.remove(spec.domain):
            log.info("%s is served again", spec.ini, extra=about(spec.domain))
        if is_new or has_changed:
            self.on_change(spec.domain)
        self.on_judged(spec.domain)

    def _revise(self, vassal: Vassal, spec: Spec, stamp: Stamp, text: bytes) -> None:
        if _is_in_effect(vassal, spec, stamp):
            self._governor.note_broken_ini(spec.domain, None)
        else:
            self._governor.revise(spec, stamp, text)

    def follow(self, vassal: Vassal, spec: Spec, stamp: Stamp) -> None:
        """Give a vassal other settings for the version of its ini that is in effect, by which it
        claims what it has already. Thousands sleep, for which nothing else changes."""
        if not vassal.takes_silently(stamp) or vassal.listener.fd < 0:
            self.serve(spec, stamp, vassal.text)
            return
        self._governor.follow(vassal, spec)
        self.on_change(spec.domain)
        self.on_judged(spec.domain)

    def _conflict_after_claim(self, spec: Spec, *, is_good: bool) -> Conflict | None:
        """Take what the ini has the better right to from the others, if that is all that it needs.
        Returns a claim that another ini has still."""
        conflicts = [
            (conflict, self._governor.vassals.get(conflict.holder.removesuffix(".ini")))
            for conflict in self._claims.conflicts(spec)
        ]
        if not conflicts:
            return None
        for conflict, holder in conflicts:
            if holder is None or not has_better_right(spec, holder, conflict, is_good=is_good):
                return conflict
        for conflict, holder in conflicts:
            if holder is None or holder.state is State.REMOVED:
                continue
            if conflict.is_host:
                try:
                    self._take_alias(holder, conflict.claim)
                except CannotListen:  # it has no socket; this is tried again with all refused inis
                    return conflict
            else:
                self._awaiting.append(spec.ini)
                self._dismiss(holder.spec, f"an app with a better right to {conflict.claim} came")
        return next(self._claims.conflicts(spec), None)

    def _take_alias(self, holder: Vassal, alias: str) -> None:
        """Serve a vassal without an alias of its own, which is the domain of another ini. Raises
        CannotListen."""
        spec, stamp = newest(holder)
        text = holder.failed.version.text if holder.failed else holder.text
        spec = without_aliases(spec, (alias,))
        self._governor.revise(spec, stamp, text)
        self._claims.take(spec)
        self._note_aliases(spec)

    def _note_aliases(self, spec: Spec) -> None:
        known = self._without_aliases.get(spec.domain, frozenset())
        if spec.taken_aliases or known:
            self._without_aliases[spec.domain] = frozenset(spec.taken_aliases)
        for alias in spec.taken_aliases:
            if alias not in known:
                holder = self._claims.holder(alias) or f"{alias}.ini"
                log.warning(
                    "%s is served without its alias %s, which %s has",
                    spec.ini, alias, holder, extra=about(spec.domain),
                )  # fmt: skip

    def _refuse_conflict(self, spec: Spec, conflict: Conflict) -> None:
        """Refuse a spec that claims what another ini has. A tenant must not learn whose that is."""
        holder = self._governor.vassals.get(conflict.holder.removesuffix(".ini"))
        if spec.owner is None or (holder and holder.spec.owner == spec.owner):
            self._refuse_spec(spec, RefusalReason.CONFLICT, conflict.why)
            return
        before = self._problem(spec.domain)
        self._refuse_spec(spec, RefusalReason.CONFLICT, conflict.why_unnamed)
        if before != self._problem(spec.domain):
            log.info("%s: %s has it", spec.ini, conflict.holder, extra=about(spec.domain))

    def _drop_holder(self, file: str) -> None:
        if self._claim_holders.drop(file):
            self._save_holders()

    def _save_holders(self) -> None:
        """During the first scan not all conflicts are known yet."""
        if self._logs_each:
            self._claim_holders.save()

    def _problem(self, domain: str) -> str | None:
        """Why the newest version of an ini is not served; None where it is."""
        if refusal := self.refused.get(domain):
            return refusal.message
        vassal = self._governor.vassals.get(domain)
        return vassal.ini_error if vassal else None

    def _refuse_spec(self, spec: Spec, reason: RefusalReason, problem: str) -> None:
        message = f"cannot serve {spec.ini}: {problem}"
        self.refuse(Refusal(spec.domain, spec.ini, reason, message, spec.owner))

    def refuse(self, refusal: Refusal) -> None:
        """Do not serve this version of an ini. A version that is in service stays so, unless it is
        another tenant's, who would go on with visitors that are not his any more."""
        if self._is_closed:  # the end of the daemon may be the cause: it kills a uWSGI that reads
            return
        vassal = self._governor.vassals.get(refusal.domain)
        if vassal is not None and _is_of_another_tenant(refusal, vassal):
            self._cut_off(vassal, "its ini belongs to another user now")
            vassal = None
        if vassal is None or vassal.state is State.REMOVED:
            self._refusals.add(refusal)
            self._governor.refuse_wildcard(refusal.domain)
        elif vassal.ini_error != refusal.message:
            log.warning(
                "%s; the previous version stays in service",
                refusal.message, extra=about(refusal.domain),
            )  # fmt: skip
            self._governor.note_broken_ini(refusal.domain, refusal.message)
            self._complained.add(refusal.domain)
        self.on_judged(refusal.domain)

    def note_fault(self, file: str, owner: int | None) -> None:
        """Log the exception that is being handled as a fault of emperord, which has kept that ini
        from being read. A refusal has it read again later, though it has not changed."""
        log.exception("cannot read %s: a fault in emperord", file)
        if not file.endswith(".ini"):
            return
        domain, message = file.removesuffix(".ini"), f"cannot read {file}: {FAULT}"
        try:
            self.refuse(Refusal(domain, file, RefusalReason.FAULT, message, owner))
        except Exception:
            log.exception("cannot refuse %s: a fault in emperord", file)

    def _log_beyond_limit(self) -> None:
        before = self._logged_beyond_limit
        beyond = self._logged_beyond_limit = self._refusals.count(RefusalReason.TOO_MANY_VASSALS)
        if beyond > before:
            total = len(self._governor.vassals) + beyond
            log.warning(
                "%d of %d inis are not served: %s to %d or more",
                beyond, total, self._limit_reached, limit_for(total),
            )  # fmt: skip

    def remove(self, domain: str, file: str) -> None:
        """The ini is gone."""
        self._drop_holder(file)
        if self._refusals.remove(domain):
            log.info("%s is gone", file, extra=about(domain))
        vassal = self._governor.vassals.get(domain)
        if vassal is not None and vassal.state is not State.REMOVED:
            self._dismiss(vassal.spec, "its ini is gone")
        self.on_judged(domain)

    def _must_go(self, vassal: Vassal, new: Spec) -> bool:
        """Whether a vassal cannot go on by `new`, which is read again when it is gone."""
        before = vassal.spec
        if (before.owner, before.drops_to) != (new.owner, new.drops_to):
            self._cut_off(vassal, "it runs as another user now")
            return True
        # A user has no name for a moment where a directory service is away.
        is_renamed = before.runs_as != new.runs_as
        must_end = is_renamed or before.socket != new.socket
        if vassal.state is State.REMOVED:
            return must_end or vassal.listener.fd < 0
        if must_end:
            why = "the name or group of its user" if is_renamed else "the path of its socket"
            self._dismiss(before, f"{why} has changed")
        return must_end

    def _cut_off(self, vassal: Vassal, why: str) -> None:
        """Dismiss a vassal without a graceful stop: what its processes do with the listener must
        not reach the visitors of another tenant."""
        self._governor.cut_off(vassal, why)
        loop = asyncio.get_running_loop()
        loop.call_later(PATIENCE_SECONDS, self._governor.give_up, vassal)
        if vassal.state is not State.REMOVED:
            self._dismiss(vassal.spec, why)

    def _dismiss(self, spec: Spec, why: str) -> None:
        self._retry_others_when_gone(spec)
        self._governor.dismiss(spec.domain, why)

    def _retry_others_when_gone(self, spec: Spec) -> None:
        """Once the vassal is gone, its host names and sockets are free for other inis."""

        def on_change() -> None:
            vassal = self._governor.vassals.get(spec.domain)
            if vassal is None:
                self._claims.release(spec)
                self._retry_soon(spec.ini)
            elif vassal.state is State.REMOVED:
                return
            self._governor.subscribers.remove(spec.domain, on_change)

        self._governor.subscribers.add(spec.domain, on_change)

    def _retry_soon(self, file: str) -> None:
        """Retry once for all vassals that go in this turn of the loop, and not now: the governor
        finishes an event before it takes the next one."""
        if not self._gone:
            asyncio.get_running_loop().call_soon(self._retry_unserved)
        self._gone.append(file)

    def _retry_unserved(self) -> None:
        gone, self._gone = self._gone, []
        awaiting, self._awaiting = self._awaiting, []
        # In this order: what an ini had to give up is not its own again.
        self._retry(list(dict.fromkeys([*awaiting, *gone, *self.unserved()])))


def _ignore(_domain: str) -> None:
    pass


def _is_of_another_tenant(refusal: Refusal, vassal: Vassal) -> bool:
    """Whether an ini that cannot be served has come to another tenant. An ini of root's may have
    named any user before it broke."""
    before, now = vassal.spec.owner, refusal.owner
    return before is not None and now not in (None, ROOT, before)


def _is_in_service(vassal: Vassal, spec: Spec, stamp: Stamp) -> bool:
    """Whether this very version of the ini is in service, or does not start and was tried."""
    return vassal.ini_error is None and _is_in_effect(vassal, spec, stamp)


def _is_in_effect(vassal: Vassal, spec: Spec, stamp: Stamp) -> bool:
    """Whether the vassal has this very version of the ini, whatever its next reading came to."""
    return vassal.state is not State.REMOVED and newest(vassal) == (spec, stamp)
