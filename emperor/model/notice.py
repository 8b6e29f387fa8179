"""What an administrator is told of outside of the log: which incidents become notices, and when.

Which incidents these are, and when one is over, is the table RULES; model/digest.py follows it.
docs/api.md takes the text below a field or a member as its meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from math import inf

from emperor.model.text import one_line

MOST_SUBJECTS = 20
LONGEST_TEXT = 500


class NoticeKind(Enum):
    """What a notice is about."""

    APP_FAILED = "app-failed"
    """an app did not start, or died while it served"""
    APP_RECOVERED = "app-recovered"
    """an app that had failed has served for a minute without another failure, or is gone"""
    DEPLOY_REFUSED = "deploy-refused"
    """a new or changed ini is not served, or its app did not start and the version before serves"""
    DEPLOY_ACCEPTED = "deploy-accepted"
    """the newest version of an ini that was refused is in effect, or the ini is gone"""
    LIMIT_REACHED = "limit-reached"
    """the apps of a tenant have reached a limit, for the first time or after an hour without"""
    DISK_SHORT = "disk-short"
    """a file system of emperord has little room left"""
    DISK_FREED = "disk-freed"
    """a file system that was short has room again"""
    DRAINED = "drained"
    """load balancers are told to send requests elsewhere"""
    UNDRAINED = "undrained"
    """load balancers are told to send requests here again"""
    TEST = "test"
    """`emperorctl notify-test`"""


@dataclass(frozen=True, slots=True)
class NoticeSubject:
    """What a notice is about."""

    name: str
    """the domain of a vassal or the name of its ini, `USER: LIMIT`, or the path of a folder"""
    uid: int | None
    """the user that a vassal runs as, or who owns its ini; null: that of emperord, or none"""
    detail: str
    """what happened, as in `last_error`; for people. It may quote what an app has printed"""


@dataclass(frozen=True, slots=True)
class Notice:
    """What `notify-command` and `notify-url` are told."""

    id: str
    """random; the same each time that this notice is sent again"""
    kind: NoticeKind
    """what it is about"""
    at: datetime
    """when it was made"""
    machine: str
    """name of the machine"""
    summary: str
    """one sentence for people"""
    count: int
    """how many subjects there are"""
    subjects: tuple[NoticeSubject, ...]
    """the first twenty of them"""


@dataclass(frozen=True, slots=True)
class NoticeOutcome:
    """What came of a test of one way to send notices."""

    way: str
    """`notify-command` or `notify-url`"""
    is_sent: bool
    """whether the command ended with 0, or the server answered with a status from 200 to 299"""
    detail: str
    """the status, or what the command printed last, or why it could not be sent; for people"""


@dataclass(frozen=True, slots=True)
class NoticeTest:
    """What came of `emperorctl notify-test`."""

    outcomes: tuple[NoticeOutcome, ...]
    """one for each way that is set"""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something bad has happened to `subject`, or is over. `kind` is what is bad."""

    kind: NoticeKind
    subject: NoticeSubject
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """How incidents of a kind are told. `over` is the kind of notice that tells the end, None where
    none does. It is over when nothing bad has come for `settle_seconds` after a good sign. Without
    a good sign an incident is forgotten `forget_seconds` after it was seen last. `is_change`: each
    sign is told, also the end of what was not told."""

    over: NoticeKind | None
    settle_seconds: float = 0.0
    forget_seconds: float = inf
    is_change: bool = False


RULES: Mapping[NoticeKind, Rule] = {
    NoticeKind.APP_FAILED: Rule(NoticeKind.APP_RECOVERED, settle_seconds=60.0),
    NoticeKind.DEPLOY_REFUSED: Rule(NoticeKind.DEPLOY_ACCEPTED),
    NoticeKind.LIMIT_REACHED: Rule(None, forget_seconds=3600.0),
    NoticeKind.DISK_SHORT: Rule(NoticeKind.DISK_FREED),
    NoticeKind.DRAINED: Rule(NoticeKind.UNDRAINED, is_change=True),
}

_ONE: Mapping[NoticeKind, str] = {
    NoticeKind.APP_FAILED: "{name} fails: {detail}",
    NoticeKind.APP_RECOVERED: "{name} fails no longer: {detail}",
    NoticeKind.DEPLOY_REFUSED: "the newest version of {name} is not in effect: {detail}",
    NoticeKind.DEPLOY_ACCEPTED: "{name}: {detail}",
    NoticeKind.LIMIT_REACHED: "a limit was reached: {name}, {detail}",
    NoticeKind.DISK_SHORT: "{name} is short of room: {detail}",
    NoticeKind.DISK_FREED: "{name} has room again: {detail}",
    NoticeKind.DRAINED: "the machine drains: load balancers send requests elsewhere",
    NoticeKind.UNDRAINED: "the machine drains no longer: load balancers send requests here",
    NoticeKind.TEST: "a test: notices of emperord reach you here",
}
_MANY: Mapping[NoticeKind, str] = {
    NoticeKind.APP_FAILED: "{count} apps fail",
    NoticeKind.APP_RECOVERED: "{count} apps fail no longer",
    NoticeKind.DEPLOY_REFUSED: "the newest versions of {count} inis are not in effect",
    NoticeKind.DEPLOY_ACCEPTED: "{count} inis that were refused are in effect or gone",
    NoticeKind.LIMIT_REACHED: "{count} limits were reached",
    NoticeKind.DISK_SHORT: "{count} file systems are short of room",
    NoticeKind.DISK_FREED: "{count} file systems have room again",
    NoticeKind.DRAINED: "the machine was drained {count} times",
    NoticeKind.UNDRAINED: "the drain of the machine was ended {count} times",
}


class Fate(Enum):
    """What became of a notice for one sender, in the end."""

    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class NoticeContent:
    """A notice without what the world adds: its id, its time and the machine."""

    kind: NoticeKind
    count: int
    subjects: tuple[NoticeSubject, ...]

    @property
    def summary(self) -> str:
        """One sentence for people."""
        if self.count == 1 or self.kind not in _MANY:
            [subject] = self.subjects[:1] or [NoticeSubject("", None, "")]
            return brief(_ONE[self.kind].format(name=subject.name, detail=subject.detail))
        names = ", ".join(subject.name for subject in self.subjects[:3])
        more = ", ..." if self.count > 3 else ""
        return brief(f"{_MANY[self.kind].format(count=self.count)}: {names}{more}")


def brief(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text in one line without control characters, cut to `longest` characters. An app or a
    tenant may have written it, and a command may put it into the head of a mail."""
    line = one_line(text[: 4 * longest])
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


# Seconds until a notice is tried again, by how often it was tried; some ten minutes together.
_RETRIES_SECONDS = (2.0, 6.0, 18.0, 54.0, 120.0, 180.0, 240.0)


def retry_seconds(tried: int, chance: float) -> float | None:
    """How long to wait after a notice was tried in vain so often; None: it is given up. `chance` is
    in [0, 1), so that the daemons of many machines do not come back at the same moment."""
    if tried > len(_RETRIES_SECONDS):
        return None
    return _RETRIES_SECONDS[tried - 1] * (0.5 + chance)
