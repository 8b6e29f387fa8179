"""Decisions with numbers in them: how long to throttle, whether an exit is a failure, how many held
requests to release, which app to evict."""

from dataclasses import dataclass

from emperor.model.lifecycle import Event, State
from emperor.model.settings import Settings

# So many boots keep a core busy: each waits for its disk now and then.
BOOTS_PER_CORE = 2

# An app that served this long and then died is started again on the next hit, without a throttle:
# what is broken from the start does not last so long.
SETTLED_SECONDS = 10.0

# So many respawns of the first worker before it ever answered: it dies as soon as it accepts.
MOST_RESPAWNS = 5

# An app that boots for longer gives its place to the next: four that hang, for want of a database
# say, must not keep all the others asleep for the length of their start-timeout.
LONGEST_PLACE_SECONDS = 10.0

# A disk that was full may have room again after so long, and the next visitor has it tried.
BIND_AGAIN_SECONDS = 3.0

# So long an app may serve those for whom it was started before it makes room for another one.
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
    """When it is worth another try to bind a socket, which failed at that moment, if ever."""
    return 0.0 if failed is None else failed + BIND_AGAIN_SECONDS


def verdict(state: State, served_seconds: float) -> Event:
    """Whether a lead that exited in `state`, after it had accepted for `served_seconds`, failed."""
    match state:
        case State.STARTING:
            return Event.FAILED
        case State.RUNNING if served_seconds < SETTLED_SECONDS:
            return Event.FAILED
        case _:
            return Event.EXITED


def admissible(capacity: int, pending: int) -> int:
    """How many held requests may be let go now, with `pending` connections in a queue that holds
    `capacity`. Half of the queue stays free for those that nginx brings without asking us."""
    return max(0, capacity // 2 - pending)


@dataclass(frozen=True, slots=True)
class Use:
    """How an app that runs is used: when it was last asked, in monotonic seconds, how many wait for
    it here, and whether it may ever be put to sleep (`idle` is not 0)."""

    last: float
    held: int
    sleeps: bool


def least_missed(use: Use) -> tuple[bool, bool, float]:
    """A key that sorts those first who are to be evicted first: the longest unused; but rather one
    for which nobody waits, and those that never sleep last of all."""
    return not use.sleeps, use.held > 0, use.last
