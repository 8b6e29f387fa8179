"""What the metrics are called and mean. docs/metrics.md is written from the table METRICS."""

from dataclasses import dataclass
from enum import Enum
from math import inf

# A trivial app starts in some 25 ms, a large one in seconds, and 60 s is the default start-timeout.
START_BUCKETS_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, inf)
# Some phases take a millisecond.
PHASE_BUCKETS_SECONDS = (0.001, 0.005, *START_BUCKETS_SECONDS)


class MetricKind(Enum):
    """The types of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Described:
    """What a metric is: its name, as it is scraped but for the suffixes of a histogram."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """of the buckets of a histogram, in seconds; the last one is infinite"""


BUILD = Described(
    "emperord_build_info", MetricKind.GAUGE, "Always 1; tells the version", ("version",)
)
VASSALS = Described("emperord_vassals", MetricKind.GAUGE, "Vassals in each state", ("state",))
IN_MAINTENANCE = Described(
    "emperord_vassals_in_maintenance",
    MetricKind.GAUGE,
    "Vassals whose visitors get 503 by an order",
)
REFUSED = Described("emperord_refused_inis", MetricKind.GAUGE, "Inis that are not served")
DRAINING = Described(
    "emperord_draining", MetricKind.GAUGE, "1 while load balancers are sent elsewhere, else 0"
)
HELD = Described("emperord_held_requests", MetricKind.GAUGE, "Requests that wait for an app")
TURNED_AWAY = Described(
    "emperord_turned_away_requests_total", MetricKind.COUNTER,
    "Requests answered 503, because too many were held",
)  # fmt: skip
START = Described(
    "emperord_start_seconds", MetricKind.HISTOGRAM,
    "Time from the demand for an app until it accepts: with the wait for its turn to boot, and at a"
    " restart with the stop of the old process",
    bounds=START_BUCKETS_SECONDS,
)  # fmt: skip
STARTED = Described(
    "emperord_starts_total", MetricKind.COUNTER,
    "Starts of processes that have come to their end, by what they were for (CauseKind), what came"
    " of them (StartOutcome), and how they were started: base, exec, or none",
    ("cause", "outcome", "runtime"),
)  # fmt: skip
WAKES = Described(
    "emperord_wake_seconds", MetricKind.HISTOGRAM,
    "Time from the demand of a visitor until the app accepted, or its start had failed",
    ("outcome", "runtime"), START_BUCKETS_SECONDS,
)  # fmt: skip
PHASES = Described(
    "emperord_wake_phase_seconds", MetricKind.HISTOGRAM,
    "Time of each phase of a start for a visitor after which the app accepted: drain (of the old"
    " process), turn (to boot), spawn, load, accept, first-reply",
    ("phase", "runtime"), PHASE_BUCKETS_SECONDS,
)  # fmt: skip
HELD_SECONDS = Described(
    "emperord_held_seconds", MetricKind.HISTOGRAM,
    "Time from a request of nginx's fallback until its answer, by the status: 200 has nginx run it"
    " in the app, and 499 went to a visitor who had left",
    ("status",), START_BUCKETS_SECONDS,
)  # fmt: skip
ENDS = Described(
    "emperord_stops_total", MetricKind.COUNTER,
    "Ends of the service of apps: told to stop, ended by another's order, or died (StopKind)",
    ("kind",),
)  # fmt: skip
FAILING = Described("emperord_failing_vassals", MetricKind.GAUGE, "Vassals whose last start failed")
ALL_MEMORY = Described(
    "emperord_resident_memory_bytes",
    MetricKind.GAUGE,
    "Resident memory of all processes of vassals",
)
STARTS = Described(
    "emperord_vassal_starts_total",
    MetricKind.COUNTER,
    "Processes started for a vassal",
    ("vassal",),
)
FAILURES = Described(
    "emperord_vassal_consecutive_failures", MetricKind.GAUGE,
    "Starts of a vassal that failed in a row", ("vassal",),
)  # fmt: skip
MEMORY = Described(
    "emperord_vassal_resident_memory_bytes", MetricKind.GAUGE,
    "Resident memory of a vassal's processes", ("vassal",),
)  # fmt: skip
CPU = Described(
    "emperord_vassal_cpu_seconds_total", MetricKind.COUNTER,
    "CPU time of a vassal's processes", ("vassal",),
)  # fmt: skip

LIMIT_HITS = Described(
    "emperord_limit_hits_total", MetricKind.COUNTER,
    "Processes killed for their memory, forks refused and requests turned away, by the limit that"
    " was reached",
    ("limit", "tenant"),
)  # fmt: skip

YIELDING = Described(
    "emperord_yielding_tenants", MetricKind.GAUGE,
    "Users whose apps take all of the CPU now, and so yield it to others",
)  # fmt: skip

NOTICES = Described(
    "emperord_notices_total", MetricKind.COUNTER,
    "Notices, by the setting that says where to, and what came of them: sent; failed, given up;"
    " dropped, because too many waited",
    ("outcome", "way"),
)  # fmt: skip

REACHED = Described(
    "emperord_registry_reached", MetricKind.GAUGE,
    "1 while the registry of the fleet answers, else 0; there is none of it without a registry",
)  # fmt: skip
PULLED = Described(
    "emperord_pulled_inis", MetricKind.GAUGE, "Inis on the disk that came from the registry"
)
NOT_FOLLOWED = Described(
    "emperord_not_followed_domains", MetricKind.GAUGE,
    "Domains that are not as the registry has them: what it has is broken or refused, or is behind",
)  # fmt: skip

REGISTERED = Described(
    "emperord_fleet_registered", MetricKind.GAUGE,
    "1 while the registry has this machine, with a lease that cannot have ended yet, else 0; there"
    " is none of it without a fleet-address",
)  # fmt: skip
CONFIRMED = Described(
    "emperord_fleet_confirmed_timestamp_seconds", MetricKind.GAUGE,
    "When the registry last confirmed that",
)  # fmt: skip
UNCONFIRMED = Described(
    "emperord_fleet_failures_total", MetricKind.COUNTER,
    "How often the registry was asked in vain to register this machine, or to confirm that",
)  # fmt: skip

METRICS = (
    BUILD, VASSALS, FAILING, IN_MAINTENANCE, REFUSED, DRAINING, HELD, TURNED_AWAY, HELD_SECONDS,
    START, STARTED, WAKES, PHASES, ENDS, NOTICES, ALL_MEMORY,
    REACHED, PULLED, NOT_FOLLOWED, REGISTERED, CONFIRMED, UNCONFIRMED,
    STARTS, FAILURES, MEMORY, CPU, LIMIT_HITS, YIELDING,
)  # fmt: skip
