"""Turns incidents into few notices, by the table of model/notice.py.

A crash loop of one app is told once, and once more when it is over. Many incidents of a kind at
about the same time are one notice.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf

from emperor.model.notice import (
    MOST_SUBJECTS,
    RULES,
    Incident,
    NoticeContent,
    NoticeKind,
    NoticeSubject,
    brief,
)

# A notice waits until no further incident of its kind has come for this long,
QUIET_SECONDS = 2.0
# but no longer than this,
LONGEST_WAIT_SECONDS = 15.0
# and until the notice before it of its kind is as old as this.
GAP_SECONDS = 30.0


@dataclass(slots=True)
class _Open:
    """An incident that was told, or is about to be. `failures` counts its bad signs."""

    uid: int | None
    last: float
    failures: int = 1


@dataclass(slots=True)
class _Gathered:
    """Subjects of the next notice of a kind. Times are in monotonic seconds."""

    subjects: dict[str, NoticeSubject] = field(default_factory=dict)
    first: float = 0.0
    last: float = 0.0
    sent: float = -inf

    def add(self, subject: NoticeSubject, now: float) -> None:
        self.first = self.first if self.subjects else now
        self.last = now
        self.subjects[subject.name] = subject

    @property
    def due(self) -> float:
        if not self.subjects:
            return inf
        wait = min(self.last + QUIET_SECONDS, self.first + LONGEST_WAIT_SECONDS)
        return max(wait, self.sent + GAP_SECONDS)


_Key = tuple[NoticeKind, str]


class Digest:
    """Turns incidents into few notices. `now` is in monotonic seconds, and never goes back."""

    def __init__(self) -> None:
        self._open: dict[_Key, _Open] = {}
        # When each is over, if nothing bad comes before. All of a kind settle for the same time, so
        # the first one of a kind is over first.
        self._settling: dict[NoticeKind, dict[str, float]] = {kind: {} for kind in RULES}
        self._gathered: dict[NoticeKind, _Gathered] = {kind: _Gathered() for kind in NoticeKind}

    def note(self, incident: Incident, now: float) -> None:
        """Take an incident."""
        kind, rule = incident.kind, RULES[incident.kind]
        name = brief(incident.subject.name)
        subject = NoticeSubject(name, incident.subject.uid, brief(incident.subject.detail))
        if rule.is_change:
            kind = (rule.over or kind) if incident.is_over else kind
            self._gathered[kind].add(subject, now)
        elif incident.is_over:
            self._improve(kind, subject, now)
        else:
            self._worsen(kind, subject, now)

    def due(self) -> float:
        """When the next notice has to be made; inf: never."""
        settled = (next(iter(each.values()), inf) for each in self._settling.values())
        return min(*settled, *(each.due for each in self._gathered.values()))

    def take(self, now: float) -> list[NoticeContent]:
        """The notices that are due at `now`."""
        self._settle(now)
        contents = []
        for kind, gathered in self._gathered.items():
            if gathered.due <= now:
                contents.append(_content(kind, gathered.subjects.values()))
                gathered.subjects, gathered.sent = {}, now
        return contents

    def rest(self) -> list[NoticeContent]:
        """What was gathered and is not due yet, for a daemon that ends."""
        rest = []
        for kind, gathered in self._gathered.items():
            if gathered.subjects:
                rest.append(_content(kind, gathered.subjects.values()))
                gathered.subjects = {}
        return rest

    @property
    def open(self) -> tuple[Incident, ...]:
        """The incidents that were told and are not over."""
        return tuple(
            Incident(kind, NoticeSubject(name, known.uid, ""))
            for (kind, name), known in self._open.items()
        )

    def reopen(self, incidents: Collection[Incident], now: float) -> None:
        """Go on with the incidents that an earlier daemon has told."""
        for each in incidents:
            if each.kind in RULES and not RULES[each.kind].is_change:
                self._open[each.kind, each.subject.name] = _Open(each.subject.uid, now)

    def _worsen(self, kind: NoticeKind, subject: NoticeSubject, now: float) -> None:
        self._settling[kind].pop(subject.name, None)
        known = self._open.get((kind, subject.name))
        if known is not None and now - known.last < RULES[kind].forget_seconds:
            known.last, known.failures = now, known.failures + 1
            return
        self._open[kind, subject.name] = _Open(subject.uid, now)
        over = RULES[kind].over
        # Nobody was told of the end before this: it goes on.
        if over is None or self._gathered[over].subjects.pop(subject.name, None) is None:
            self._gathered[kind].add(subject, now)

    def _improve(self, kind: NoticeKind, subject: NoticeSubject, now: float) -> None:
        key, seconds = (kind, subject.name), RULES[kind].settle_seconds
        if key not in self._open:
            return
        # Nothing has to be waited for where the sign itself says why it is over.
        if subject.detail or not seconds:
            self._settling[kind].pop(subject.name, None)
            self._end(key, subject, now)
        else:
            self._settling[kind].setdefault(subject.name, now + seconds)

    def _settle(self, now: float) -> None:
        for kind, settling in self._settling.items():
            ripe = [name for name, at in settling.items() if at <= now]
            for name in ripe:
                del settling[name]
                known = self._open[kind, name]
                detail = f"it serves, after {known.failures} failure{'s' * (known.failures > 1)}"
                self._end((kind, name), NoticeSubject(name, known.uid, detail), now)

    def _end(self, key: _Key, subject: NoticeSubject, now: float) -> None:
        kind, name = key
        del self._open[key]
        over = RULES[kind].over
        # What nobody was told of needs no end.
        if self._gathered[kind].subjects.pop(name, None) is None and over is not None:
            self._gathered[over].add(subject, now)


def _content(kind: NoticeKind, subjects: Collection[NoticeSubject]) -> NoticeContent:
    return NoticeContent(kind, len(subjects), tuple(subjects)[:MOST_SUBJECTS])
