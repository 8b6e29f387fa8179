"""Keeps the inis that are pulled from the registry: their files in the folder of inis, and what is
known of them in the state directory. All of it may wait for a disk, so it runs in a thread.

A daemon may be killed between any two steps, and the next one goes on: the journal tells of a file
before the file gets its name, and of a removal after the file is gone.
"""

import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from emperor.linux.placed_file import (
    Draft,
    Owner,
    Taken,
    digest_of,
    find,
    inode_at,
    remove,
    seem_placed,
    set_aside,
    sweep,
)
from emperor.linux.pull_mark import marked
from emperor.linux.pulled_journal import Journal
from emperor.model.cluster_state import UNKNOWN, ClusterState
from emperor.model.log_fields import about
from emperor.model.pulled import (
    Act,
    Found,
    Occasion,
    OnDisk,
    Pulled,
    PulledState,
    Said,
    act,
    on_disk,
    said,
    settled,
    why_not,
)
from emperor.model.registration import Entry, RegisteredAlias, RegisteredIni

log = logging.getLogger("emperord.pulled_inis")

# Serials of domains that are gone. The domains of the latest ones are remembered.
_MOST_GONE = 100_000
PUTS = frozenset({Act.WRITE, Act.REPLACE})
_TAKES_OFF = frozenset({Act.REMOVE, Act.SET_ASIDE, Act.NOTE})


@dataclass(frozen=True, slots=True)
class Order:
    """What the registry has for a domain at a revision; `problem` says why that cannot be used, and
    without entry and problem it has nothing. `owner` is that of the file of an ini, None: the user
    of the daemon."""

    domain: str
    revision: int
    occasion: Occasion
    entry: Entry | None = None
    owner: Owner | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PullOutcome:
    """What was done with an order. `complaint`: why the registry is not followed. `is_unfinished`:
    the disk did not allow it, and it is to be tried again."""

    order: Order
    act: Act
    complaint: str = ""
    is_unfinished: bool = False


class PulledInis:
    """The files in `folder`, and the journal of them. All methods may wait for a disk."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._journal = journal

    def load(self) -> set[str]:
        """Go on with what an earlier daemon has left, which the journal has read. Returns the
        domains to be read again: a loss of power has damaged their files, or those are back after
        a time in which changes were not followed. Raises OSError."""
        journal = self._journal
        sweep(self._folder)
        known = self._take_marks()
        if journal.is_missing:
            self._tell_of_loss(known)
        inodes = {domain: inode_at(self._path(domain)) for domain in journal.domains}
        journal.rewrite(_latest(settled(e, inodes[e.domain]) for e in journal.domains.values()))
        present = {d: kept for d, kept in journal.domains.items() if inodes[d] is not None}
        unsettled = {domain for domain, kept in present.items() if not kept.is_held}
        back = {domain for domain in sorted(unsettled) if self._settle(domain)}
        return back | (self._torn(present) if journal.has_rebooted else set())

    def _take_marks(self) -> set[str]:
        """Take from the inis themselves what the journal does not have, or has as it was before.
        Returns the names of these inis."""
        found = {}
        for each in marked(self._folder):
            kept = self._journal.domains.get(each.domain)
            if kept is None or kept.serial < each.serial:
                found[each.domain] = each
        if found:
            log.warning(
                "%s does not have the latest of %d inis from the registry, %s for instance: it was"
                " lost, or is an old one; what it lacks is taken from the marks of these inis",
                self._journal.path, len(found), min(found),
            )  # fmt: skip
            self._journal.domains |= found
            self._journal.has_rebooted = True  # one may be damaged
        return {f"{domain}.ini" for domain in found}

    def _tell_of_loss(self, known: Collection[str]) -> None:
        """The journal is written right after this, so that no later daemon says it again."""
        if names := [name for name in seem_placed(self._folder) if name not in known]:
            log.warning(
                "%d inis in %s seem to be pulled from the registry (mode 0400), %s for instance,"
                " but %s, which tells of each, is gone: they are served on as an administrator's,"
                " and the registry changes none of them any more; remove those that the registry"
                " has, and the next request pulls each anew",
                len(names), self._folder, min(names), self._journal.path,
            )  # fmt: skip

    def _settle(self, domain: str) -> bool:
        """A file is back. A loss of power has undone a removal, or the folder was on a disk that
        was not there when the last daemon started. Returns whether it stays."""
        path, kept = self._path(domain), self._journal.domains[domain]
        found = find(path)
        if found is None or on_disk(found, kept) is not OnDisk.PULLED:
            return False
        if kept.state is PulledState.REMOVED:
            log.info("%s is taken off the disk again", domain, extra=about(domain))
            remove(path, found.inode)
            return False
        self._journal.append([msgspec.structs.replace(kept, state=PulledState.HELD)])
        return True

    def _torn(self, present: Collection[str]) -> set[str]:
        domains = self._journal.domains
        return {
            domain for domain in present
            if on_disk(find(self._path(domain)), domains[domain]) is OnDisk.TORN
        }  # fmt: skip

    def carry_out(self, orders: Collection[Order]) -> list[PullOutcome]:
        """Follow the registry as far as model/pulled has it. No two orders are for one domain."""
        steps = [self._prepared(order) for order in orders]
        drafts = [step for step in steps if step.draft]
        if problem := self._keep(drafts):
            for step in drafts:
                step.fail(problem)
        for step in steps:
            if not step.outcome:
                self._finish(step)
        gone = [step for step in steps if step.act in _TAKES_OFF and not step.outcome]
        if problem := self._keep(gone):
            for step in gone:
                step.fail(problem)
        return [step.outcome or PullOutcome(step.order, step.act) for step in steps]

    def advance(self, revision: int, state: ClusterState = UNKNOWN) -> None:
        """All that is held is as the registry in that state had it at that revision."""
        try:
            self._journal.advance(revision, state)
        except OSError as error:
            log.warning("cannot keep up to where the registry was followed: %s", error)

    def state(self, domain: str) -> OnDisk:
        """What is in the folder for the domain."""
        try:
            return on_disk(find(self._path(domain)), self._journal.domains.get(domain))
        except OSError:
            return OnDisk.FOREIGN

    def forget(self, domains: Collection[str]) -> list[str]:
        """Take inis off that are as they were pulled. Returns those that are off."""
        return [domain for domain in domains if self._forget(domain)]

    def note_missing(self, domain: str) -> None:
        """An administrator has taken the file off. What is made next under its name is not ours,
        even if the kernel gives it the same inode."""
        kept = self._journal.domains.get(domain)
        try:
            if kept is not None and kept.is_held and find(self._path(domain)) is None:
                self._journal.append([msgspec.structs.replace(kept, state=PulledState.FORGOTTEN)])
        except OSError as error:
            log.warning("cannot note that %s is gone: %s", domain, error, extra=about(domain))

    def _forget(self, domain: str) -> bool:
        path, kept = self._path(domain), self._journal.domains.get(domain)
        try:
            found = find(path)
            if kept is None or not kept.is_held or on_disk(found, kept) is OnDisk.FOREIGN:
                return False
            if on_disk(found, kept) is OnDisk.EDITED:
                return False
            if found is not None:
                remove(path, found.inode)
            self._journal.append([msgspec.structs.replace(kept, state=PulledState.FORGOTTEN)])
        except Taken:
            return False
        except OSError as error:
            log.warning(
                "cannot take %s off the disk, which nobody uses: %s",
                domain,
                error,
                extra=about(domain),
            )
            return False
        return found is not None

    def _path(self, domain: str) -> Path:
        return self._folder / f"{domain}.ini"

    def _prepared(self, order: Order) -> "_Step":
        """What is to be done with an order; a new file is written under another name."""
        path, kept = self._path(order.domain), self._journal.domains.get(order.domain)
        step = _Step(order, path)
        try:
            step.found = found = find(path)
            owner = order.owner.uid if order.owner else None
            disk, says = on_disk(found, kept, owner), said_by(order, kept)
            step.act = act(order.occasion, disk, says)
            if step.act is Act.COMPLAIN:
                why = order.problem or why_not(disk, says, kept)
                step.outcome = PullOutcome(order, step.act, why)
            elif step.act in PUTS and isinstance(order.entry, RegisteredIni):
                data = order.entry.ini.encode()
                step.draft = Draft(path, data, order.owner)
                step.kept, step.before = _written(order, data, step.draft.inode, kept), kept
                step.draft.mark(step.kept)
            elif order.entry is not None and step.act in _TAKES_OFF:
                step.kept = _gone(order, order.entry, kept)
        except OSError as error:
            step.fail(error)
        return step

    def _keep(self, steps: Collection["_Step"]) -> OSError | None:
        """Write down what these do. Returns why that cannot be done."""
        try:
            if kept := [step.kept for step in steps if step.kept]:
                self._journal.append(kept)
        except OSError as error:
            return error
        return None

    def _finish(self, step: "_Step") -> None:
        """Give a new file its name, or take one off."""
        inode = step.found.inode if step.found else None
        try:
            if step.act is Act.REPLACE and inode is not None:
                _set_aside(step, inode, "was given to another owner in the registry")
                inode = None
            if step.draft:
                step.draft.place(inode)
            elif step.act is Act.REMOVE and inode is not None:
                remove(step.path, inode)
            elif step.act is Act.SET_ASIDE and inode is not None:
                _set_aside(step, inode, "was removed from the registry")
        except (OSError, Taken) as error:
            step.fail(error)
            if step.kept and step.draft:
                step.kept = step.before or msgspec.structs.replace(
                    step.kept, state=PulledState.FORGOTTEN
                )
                self._keep([step])


@dataclass
class _Step:
    """One order while it is carried out. `kept` is what the journal is to have of it, and `before`
    what it has had."""

    order: Order
    path: Path
    act: Act = Act.NOTHING
    found: Found | None = None
    draft: Draft | None = None
    kept: Pulled | None = None
    before: Pulled | None = None
    outcome: PullOutcome | None = None

    def fail(self, error: OSError | Taken) -> None:
        """The order cannot be carried out."""
        if self.draft:
            self.draft.close()
        if isinstance(error, Taken):
            self.outcome = PullOutcome(self.order, Act.NOTHING)
            return
        where = f" {error.filename}" if error.filename else ""
        why = f"cannot follow the registry: {error.strerror}{where}"
        self.outcome = PullOutcome(self.order, Act.COMPLAIN, why, is_unfinished=True)


def _set_aside(step: _Step, inode: int, why: str) -> None:
    """Raises OSError and Taken."""
    domain, aside = step.order.domain, set_aside(step.path, inode)
    log.warning(
        "%s %s, and its ini had been changed on this machine: it is kept as %s",
        domain, why, aside, extra=about(domain),
    )  # fmt: skip


def _written(order: Order, data: bytes, inode: int, kept: Pulled | None) -> Pulled:
    before = kept and msgspec.structs.replace(kept, before=None)
    serial = order.entry.serial if order.entry else 0
    return Pulled(
        order.domain, serial, order.revision, digest_of(data), inode, time.time(), before=before
    )


def _gone(order: Order, entry: Entry, kept: Pulled | None) -> Pulled:
    last = kept or Pulled(order.domain, entry.serial, order.revision)
    return msgspec.structs.replace(
        last,
        serial=entry.serial,
        revision=order.revision,
        state=PulledState.REMOVED,
        before=None,
        alias_of=entry.alias_of if isinstance(entry, RegisteredAlias) else "",
    )


def said_by(order: Order, kept: Pulled | None) -> Said:
    """What an order has of the registry, beside what is kept of the domain."""
    if order.problem:
        return Said.UNUSABLE
    if order.entry is None:
        return Said.MISSING
    entry = order.entry
    digest = digest_of(entry.ini.encode()) if isinstance(entry, RegisteredIni) else ""
    return said(entry, kept, digest)


def _latest(kept: Iterator[Pulled]) -> list[Pulled]:
    """All that is held, and as many of the others as shall be remembered, the latest ones."""
    each_one = sorted(kept, key=lambda each: each.revision)
    gone = [each for each in each_one if not each.is_held]
    return [*(each for each in each_one if each.is_held), *gone[-_MOST_GONE:]]
