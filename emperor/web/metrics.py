"""What the metrics are called and mean, and how long starts take.

docs/api.md is written from the table METRICS.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from math import inf

from emperor.model.status import TransitionEvent

# A trivial app starts in some 25 ms, a large one in seconds, and 60 s is the default start-timeout.
START_BUCKETS_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, inf)


class Kind(Enum):
    """The types of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Described:
    """What a metric is: its name, as it is scraped but for the suffixes of a histogram."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


BUILD = Described("emperord_build_info", Kind.GAUGE, "Always 1; tells the version", ("version",))
VASSALS = Described("emperord_vassals", Kind.GAUGE, "Vassals in each state", ("state",))
IN_MAINTENANCE = Described(
    "emperord_vassals_in_maintenance", Kind.GAUGE, "Vassals whose visitors get 503 by an order"
)
REFUSED = Described("emperord_refused_inis", Kind.GAUGE, "Inis that are not served")
DRAINING = Described(
    "emperord_draining", Kind.GAUGE, "1 while load balancers are sent elsewhere, else 0"
)
HELD = Described("emperord_held_requests", Kind.GAUGE, "Requests that wait for an app")
TURNED_AWAY = Described(
    "emperord_turned_away_requests_total", Kind.COUNTER,
    "Requests answered 503, because too many were held",
)  # fmt: skip
START = Described(
    "emperord_start_seconds", Kind.HISTOGRAM,
    "Time from the demand for an app until it accepts: with the wait for its turn to boot, and at a"
    " restart with the stop of the old process",
)  # fmt: skip
STARTS = Described(
    "emperord_vassal_starts_total", Kind.COUNTER, "Processes started for a vassal", ("vassal",)
)
FAILURES = Described(
    "emperord_vassal_consecutive_failures", Kind.GAUGE,
    "Starts of a vassal that failed in a row", ("vassal",),
)  # fmt: skip
MEMORY = Described(
    "emperord_vassal_resident_memory_bytes", Kind.GAUGE,
    "Resident memory of a vassal's processes", ("vassal",),
)  # fmt: skip
CPU = Described(
    "emperord_vassal_cpu_seconds_total", Kind.COUNTER,
    "CPU time of a vassal's processes", ("vassal",),
)  # fmt: skip

LIMIT_HITS = Described(
    "emperord_limit_hits_total", Kind.COUNTER,
    "Processes killed for their memory, forks refused and requests turned away, by the limit that"
    " was reached",
    ("limit", "tenant"),
)  # fmt: skip

METRICS = (
    BUILD, VASSALS, IN_MAINTENANCE, REFUSED, DRAINING, HELD, TURNED_AWAY, START,
    STARTS, FAILURES, MEMORY, CPU, LIMIT_HITS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StartSeconds:
    """How long the starts took until a moment. `buckets` are bounds in seconds, each with the
    number of starts that took no longer; `total` are the seconds of all starts together."""

    buckets: tuple[tuple[float, int], ...]
    total: float


class StartTimes:
    """How many starts took how long, since the daemon started."""

    def __init__(self) -> None:
        self._counts = Counter[float]()
        self._sum = 0.0

    def read(self, event: TransitionEvent) -> None:
        """Count the start that this event ends, if it ends one. A reader of the event log."""
        if event.start_seconds is None:
            return
        self._counts[next(b for b in START_BUCKETS_SECONDS if event.start_seconds <= b)] += 1
        self._sum += event.start_seconds

    def seconds(self) -> StartSeconds:
        """The starts so far."""
        counts = [self._counts[bound] for bound in START_BUCKETS_SECONDS]
        buckets = zip(START_BUCKETS_SECONDS, accumulate(counts), strict=True)
        return StartSeconds(tuple(buckets), self._sum)
