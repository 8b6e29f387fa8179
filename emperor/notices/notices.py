"""Collects incidents, makes notices of them, and has them sent.

Nothing of it waits: incidents are noted in memory, a timer makes the notices that are due, and each
channel sends them in a task of its own. Where no way to send is set, nothing is noted at all.
"""

import asyncio
import logging
import os
import uuid
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

from emperor.model.digest import Digest
from emperor.model.history import Fact, Started, StartOutcome, StopKind, Stopped
from emperor.model.notice import (
    Incident,
    Notice,
    NoticeContent,
    NoticeKind,
    NoticeOutcome,
    NoticeSubject,
    NoticeTest,
)
from emperor.notices.channel import Channel
from emperor.notices.kept import Kept, KeptNotices

log = logging.getLogger("emperord.notices")


@dataclass(frozen=True, slots=True)
class IniStatus:
    """What is known of a domain: why the newest version of its ini is not in effect, None if it is;
    the user of its app; and whether there is an ini. `fell_back`: the version before is in effect,
    since the newest one did not start. `is_booting`: that is not decided yet."""

    refused: str | None
    uid: int | None
    exists: bool
    fell_back: bool = False
    is_booting: bool = False


class Notices:
    """Collects incidents, and sends notices about them. `ini_status` tells what is known of a
    domain."""

    def __init__(
        self,
        channels: Collection[Channel],
        kept: KeptNotices,
        ini_status: Callable[[str], IniStatus],
        loop: AbstractEventLoop,
    ) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._kept = kept
        self._ini_status = ini_status
        self._loop = loop
        self._digest = Digest()
        self._timer: TimerHandle | None = None
        self._due = inf

    @property
    def are_wanted(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self._channels)

    # What happens.

    def take(self, fact: Fact) -> None:
        """Note a start that has failed, an app that died, and an app that accepts."""
        if not self._channels:
            return
        match fact:
            case Started(subject=who, start=start) if start.outcome is StartOutcome.FAILED:
                self._loop.call_soon(self._failed, who.domain, who.uid, start.error or "")
            case Stopped(subject=who, stop=stop) if stop.kind is StopKind.DIED:
                self._loop.call_soon(self._failed, who.domain, who.uid, stop.reason)
            case Started(subject=who, start=start) if start.outcome is StartOutcome.ACCEPTED:
                subject = NoticeSubject(who.domain, who.uid, "")
                self.note(Incident(NoticeKind.APP_FAILED, subject, is_over=True))
                self._loop.call_soon(self.look, who.domain)

    def look(self, domain: str) -> None:
        """Note whether the newest version of an ini is in effect now."""
        if not self._channels:
            return
        now = self._ini_status(domain)
        if now.refused is not None:
            subject = NoticeSubject(domain, now.uid, now.refused)
            self.note(Incident(NoticeKind.DEPLOY_REFUSED, subject))
            return
        if now.is_booting:
            return
        told = "its newest version is in effect" if now.exists else "its ini is gone"
        subject = NoticeSubject(domain, now.uid, told)
        self.note(Incident(NoticeKind.DEPLOY_REFUSED, subject, is_over=True))
        if not now.exists:
            self.note(Incident(NoticeKind.APP_FAILED, subject, is_over=True))

    def drained(self, is_over: bool) -> None:
        """Note that the machine drains, or does no longer."""
        subject = NoticeSubject(os.uname().nodename, None, "")
        self.note(Incident(NoticeKind.DRAINED, subject, is_over))

    def note(self, incident: Incident) -> None:
        """Note any incident."""
        if self._channels:
            self._digest.note(incident, self._loop.time())
            self._set_timer()

    def _failed(self, domain: str, uid: int | None, why: str) -> None:
        # A newer version that did not start hurts nobody while the one before serves.
        if self._ini_status(domain).fell_back:
            self.look(domain)
        else:
            self.note(Incident(NoticeKind.APP_FAILED, NoticeSubject(domain, uid, why)))

    # What is told.

    def _set_timer(self) -> None:
        due = self._digest.due()
        if self._timer is not None and due != self._due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and due != inf:
            self._timer = self._loop.call_at(due, self._tell)
        self._due = due

    def _tell(self) -> None:
        self._timer = None
        for content in self._digest.take(max(self._due, self._loop.time())):
            self._put(_notice(content))
        self._set_timer()

    def _put(self, notice: Notice) -> None:
        log.info("notice: %s", notice.summary)
        for channel in self._channels.values():
            channel.put(notice)

    async def test(self) -> NoticeTest:
        """Send a notice by each channel, and tell what came of it."""
        notice = _notice(NoticeContent(NoticeKind.TEST, 0, ()))
        deliveries = await asyncio.gather(*(each.once(notice) for each in self._channels.values()))
        return NoticeTest(
            tuple(
                NoticeOutcome(name, delivery.is_sent, delivery.why)
                for name, delivery in zip(self._channels, deliveries, strict=True)
            )
        )

    # What outlasts the daemon.

    def resume(self) -> None:
        """Go on with what an earlier daemon has left."""
        kept = self._kept.take()
        if kept is None or not self._channels:
            return
        self._digest.reopen(kept.open, self._loop.time())
        for name, notices in kept.waiting.items():
            for notice in notices:
                if name in self._channels:
                    self._channels[name].put(notice)

    def leave(self) -> None:
        """Leave to the next daemon what was not sent yet, and what is not over."""
        if not self._channels:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for content in self._digest.rest():
            self._put(_notice(content))
        waiting = {name: each.waiting for name, each in self._channels.items() if each.waiting}
        self._kept.leave(Kept(waiting, self._digest.open))

    def stay(self) -> None:
        """Go on after all: no other daemon takes over."""
        if self._channels:
            self._kept.drop()
            self._set_timer()

    def close(self) -> None:
        """Send and note nothing any more, and leave the rest to the next daemon."""
        self.leave()
        for channel in self._channels.values():
            channel.stop()
        self._channels = {}


def _notice(content: NoticeContent) -> Notice:
    return Notice(
        id=uuid.uuid4().hex,
        kind=content.kind,
        at=datetime.now(UTC),
        machine=os.uname().nodename,
        summary=content.summary,
        count=content.count,
        subjects=content.subjects,
    )
