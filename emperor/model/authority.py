"""Decides who may do what on control.sock. The kernel says who has connected."""

from dataclasses import dataclass
from enum import Enum

# The kernel names a user of another namespace so, if it has no number here (user_namespaces(7)).
NOBODY = 65534


class Scope(Enum):
    """What an operation is about, which decides who may do it."""

    LIST = "list"
    """all vassals: a tenant is told of its own ones only"""
    VASSAL = "vassal"
    """one vassal: its tenant may do it too"""
    CLOSED_VASSAL = "closed vassal"
    """one vassal: for administrators, since a tenant must not open what they have closed"""
    DAEMON = "daemon"
    """the daemon: for administrators"""


class Operation(Enum):
    """All that can be asked or ordered on control.sock."""

    STATUS = "status"
    ACTIVITY = "activity"
    EVENTS = "events"
    METRICS = "metrics"
    STATS = "stats"
    DETAIL = "detail"
    HISTORY = "history"
    LOG = "log"
    START = "start"
    SLEEP = "sleep"
    RESTART = "restart"
    RESTART_FRESH = "restart-fresh"
    RELOAD = "reload"
    MAINTENANCE_ON = "maintenance-on"
    MAINTENANCE_OFF = "maintenance-off"
    SETTINGS = "settings"
    BASES = "bases"
    RESCAN = "rescan"
    UPGRADE = "upgrade"
    DRAIN = "drain"
    UNDRAIN = "undrain"
    NOTIFY_TEST = "notify-test"

    @property
    def words(self) -> str:
        """What it does, after "cannot"."""
        return _WORDS.get(self, self.value)


_WORDS = {
    Operation.MAINTENANCE_ON: "begin a maintenance",
    Operation.MAINTENANCE_OFF: "end a maintenance",
    Operation.SETTINGS: "show the settings of emperord",
    Operation.BASES: "show the bases of apps",
    Operation.RESCAN: "read the folder of inis again",
    Operation.UPGRADE: "upgrade emperord",
    Operation.NOTIFY_TEST: "send a test notice",
}

SCOPE: dict[Operation, Scope] = {
    Operation.STATUS: Scope.LIST,
    Operation.ACTIVITY: Scope.LIST,
    Operation.EVENTS: Scope.LIST,
    Operation.METRICS: Scope.LIST,
    Operation.STATS: Scope.LIST,
    Operation.DETAIL: Scope.VASSAL,
    Operation.HISTORY: Scope.VASSAL,
    Operation.LOG: Scope.VASSAL,
    Operation.START: Scope.VASSAL,
    Operation.SLEEP: Scope.VASSAL,
    Operation.RESTART: Scope.VASSAL,
    Operation.RESTART_FRESH: Scope.VASSAL,
    Operation.RELOAD: Scope.VASSAL,
    Operation.MAINTENANCE_ON: Scope.CLOSED_VASSAL,
    Operation.MAINTENANCE_OFF: Scope.CLOSED_VASSAL,
    Operation.SETTINGS: Scope.DAEMON,
    Operation.BASES: Scope.DAEMON,
    Operation.RESCAN: Scope.DAEMON,
    Operation.UPGRADE: Scope.DAEMON,
    Operation.DRAIN: Scope.DAEMON,
    Operation.UNDRAIN: Scope.DAEMON,
    Operation.NOTIFY_TEST: Scope.DAEMON,
}


class Verdict(Enum):
    """What becomes of a request."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"
    """the caller is told that it is for administrators"""
    HIDDEN = "hidden"
    """the caller is told the same as about a vassal that does not exist"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that has connected: its user and groups at that moment."""

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Administrators:
    """The users `uids`, and the members of the group `gid` if there is one."""

    uids: frozenset[int]
    gid: int | None

    def include(self, peer: Peer) -> bool:
        """Whether a peer is an administrator."""
        return peer.uid in self.uids or self.gid in (peer.gid, *peer.groups)


@dataclass(frozen=True, slots=True)
class Caller:
    """A peer, with what it may do here. Every other user than an administrator is a tenant."""

    uid: int
    is_administrator: bool

    def may(self, operation: Operation, owner: int | None = None) -> Verdict:
        """What becomes of a request of this caller. `owner` is the user that the vassal runs as:
        None for that of the daemon, and where the operation is about no single vassal."""
        if self.is_administrator:
            return Verdict.ALLOWED
        match SCOPE[operation]:
            case Scope.LIST:
                return Verdict.ALLOWED
            case Scope.DAEMON:
                return Verdict.FORBIDDEN
            case Scope.VASSAL:
                return Verdict.ALLOWED if self._is(owner) else Verdict.HIDDEN
            case Scope.CLOSED_VASSAL:
                return Verdict.FORBIDDEN if self._is(owner) else Verdict.HIDDEN

    def sees(self, owner: int | None) -> bool:
        """Whether the vassals of that user exist for this caller."""
        return self.is_administrator or self._is(owner)

    def _is(self, owner: int | None) -> bool:
        return owner == self.uid != NOBODY
