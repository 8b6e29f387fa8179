"""Decisions with numbers in them: how long to throttle, whether an exit is a failure, how many held
requests to release, which app to evict."""

from dataclasses import dataclass

from emperor.model.lifecycle import ENDS_EARLY, Event, State
from emperor.model.settings import Settings

# Two boots keep a core busy, since each of them waits for its disk at times.
BOOTS_PER_CORE = 2

# An app that served for this long and then died is started again on the next hit, without a
# throttle: an app that is broken from the start does not last so long.
SETTLED_SECONDS = 10.0

# An app whose first worker was replaced this often and has never answered dies as it accepts.
MOST_RESPAWNS = 5

# So many processes in a row may end by an order soon after their start.
MOST_EARLY_ENDS = 5

# An app that boots longer than this loses its place to the next app. If a few apps hang, for
# example because their database is down, the other apps must not wait for their start-timeout.
LONGEST_PLACE_SECONDS = 10.0

# After a failed bind (for example on a full disk), the next hit after this time tries again.
BIND_AGAIN_SECONDS = 3.0

# An app that nobody has used for this long makes room for the app of any user.
LONG_UNUSED_SECONDS = 600.0

# An app may serve for this long before it is evicted: its visitors get their answers first.
SHORTEST_SERVICE_SECONDS = 1.0


def throttle_seconds(failures: int, first: float, longest: float, jitter: float) -> float:
    """The delay after the `failures`-th failure in a row: doubling from `first` up to `longest`,
    then spread by ±20 %. `jitter` is a random number in [0, 1)."""
    delay = min(longest, first * 2.0 ** min(failures - 1, 60))
    return delay * (0.8 + 0.4 * jitter)


def most_starting(settings: Settings, cores: int) -> int:
    """How many apps may boot at once; 0 is no bound."""
    return BOOTS_PER_CORE * cores if settings.max_starting is None else settings.max_starting


def may_be_bound_at(failed: float | None) -> float:
    """When a bind that failed at the moment `failed` is worth another try (monotonic seconds)."""
    return 0.0 if failed is None else failed + BIND_AGAIN_SECONDS


def verdict(state: State, served_seconds: float, early_ends: int | None = None) -> Event:
    """Whether a lead that exited in `state`, after it had accepted for `served_seconds`, failed.

    `early_ends`: it ended by an order, for instance `q` on its master FIFO, as so many before it in
    a row. That is no failure, but an app that always does so must be throttled. None: it ended
    otherwise.
    """
    if early_ends is not None and early_ends < MOST_EARLY_ENDS and state in ENDS_EARLY:
        return Event.ENDED
    match state:
        case State.STARTING:
            return Event.FAILED
        case State.RUNNING if served_seconds < SETTLED_SECONDS:
            return Event.FAILED
        case _:
            return Event.EXITED


def admissible(capacity: int, pending: int) -> int:
    """How many held requests may be released now, with `pending` connections in a queue that holds
    `capacity`. Half of the queue stays free for requests that nginx sends without asking us."""
    return max(0, capacity // 2 - pending)


@dataclass(frozen=True, slots=True)
class Use:
    """How a running app is used: when its last request came (monotonic seconds), how many requests
    are held for it, and whether it may ever sleep (`idle` is not 0)."""

    last: float
    held: int
    sleeps: bool


def gives_way_at(use: Use, *, is_own: bool, runs: int, newcomer_runs: int) -> float:
    """When an app may be evicted for a newcomer, as far as their users are concerned (monotonic
    seconds). `is_own`: both are of one user. `runs` and `newcomer_runs`: how many apps of each user
    run. A user with many apps must not evict those of a user with few, unless nobody uses them."""
    return 0.0 if is_own or runs > newcomer_runs else use.last + LONG_UNUSED_SECONDS


def least_missed(use: Use) -> tuple[bool, bool, float]:
    """A sort key: the app to evict first comes first. Apps that never sleep come last, before them
    apps with held requests, and the longest unused app goes first."""
    return not use.sleeps, use.held > 0, use.last
