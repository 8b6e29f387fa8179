"""The report, and how long starts take, in Prometheus' text format.

The table METRICS says what each metric is called; docs/api.md is written from it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from math import inf

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from emperor.model.status import Report, ReportedState, TransitionEvent

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

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

    def counter(self) -> CounterMetricFamily:
        """An empty family of it."""
        return CounterMetricFamily(self.name.removesuffix("_total"), self.help, labels=self.labels)

    def gauge(self) -> GaugeMetricFamily:
        """An empty family of it."""
        return GaugeMetricFamily(self.name, self.help, labels=self.labels)


_BUILD = Described("emperord_build_info", Kind.GAUGE, "Always 1; tells the version", ("version",))
_VASSALS = Described("emperord_vassals", Kind.GAUGE, "Vassals in each state", ("state",))
_REFUSED = Described("emperord_refused_inis", Kind.GAUGE, "Inis that are not served")
_DRAINING = Described(
    "emperord_draining", Kind.GAUGE, "1 while load balancers are sent elsewhere, else 0"
)
_HELD = Described("emperord_held_requests", Kind.GAUGE, "Requests that wait for an app")
_TURNED_AWAY = Described(
    "emperord_turned_away_requests_total", Kind.COUNTER,
    "Requests answered 503, because too many were held",
)  # fmt: skip
_START = Described(
    "emperord_start_seconds", Kind.HISTOGRAM,
    "Time from the demand for an app until it accepts: with the wait for its turn to boot, and at a"
    " restart with the stop of the old process",
)  # fmt: skip
_STARTS = Described(
    "emperord_vassal_starts_total", Kind.COUNTER, "Processes started for a vassal", ("vassal",)
)
_FAILURES = Described(
    "emperord_vassal_consecutive_failures", Kind.GAUGE,
    "Starts of a vassal that failed in a row", ("vassal",),
)  # fmt: skip
_MEMORY = Described(
    "emperord_vassal_resident_memory_bytes", Kind.GAUGE,
    "Resident memory of a vassal's processes", ("vassal",),
)  # fmt: skip
_CPU = Described(
    "emperord_vassal_cpu_seconds_total", Kind.COUNTER,
    "CPU time of a vassal's processes", ("vassal",),
)  # fmt: skip

METRICS = (
    _BUILD, _VASSALS, _REFUSED, _DRAINING, _HELD, _TURNED_AWAY, _START,
    _STARTS, _FAILURES, _MEMORY, _CPU,
)  # fmt: skip


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

    def family(self) -> Metric:
        """All of them as a histogram."""
        cumulated, buckets = 0, []
        for bound in START_BUCKETS_SECONDS:
            cumulated += self._counts[bound]
            buckets.append(("+Inf" if bound == inf else str(bound), cumulated))
        return HistogramMetricFamily(_START.name, _START.help, buckets, self._sum)


class _Snapshot(Collector):
    """One report as a collector. A vassal that was never started is only counted: there may be
    thousands."""

    def __init__(self, report: Report, starts: Metric) -> None:
        self._report = report
        self._starts = starts

    def collect(self) -> Iterator[Metric]:
        emperor = self._report.emperor
        build = _BUILD.gauge()
        build.add_metric([emperor.version], 1)
        yield build
        yield self._states()
        for described, value in (
            (_REFUSED, len(self._report.refused)),
            (_DRAINING, emperor.draining_since is not None),
            (_HELD, emperor.held),
        ):
            gauge = described.gauge()
            gauge.add_metric([], value)
            yield gauge
        turned_away = _TURNED_AWAY.counter()
        turned_away.add_metric([], emperor.turned_away)
        yield turned_away
        yield self._starts
        yield from self._vassals()

    def _states(self) -> Metric:
        family = _VASSALS.gauge()
        counted = Counter(vassal.state for vassal in self._report.vassals)
        for state in ReportedState:
            family.add_metric([state.value], counted[state])
        return family

    def _vassals(self) -> Iterator[Metric]:
        starts, failures = _STARTS.counter(), _FAILURES.gauge()
        memory, cpu = _MEMORY.gauge(), _CPU.counter()
        for vassal in self._report.vassals:
            if vassal.starts:
                starts.add_metric([vassal.name], vassal.starts)
                failures.add_metric([vassal.name], vassal.consecutive_failures)
            if vassal.rss_bytes is not None and vassal.cpu_seconds is not None:
                memory.add_metric([vassal.name], vassal.rss_bytes)
                cpu.add_metric([vassal.name], vassal.cpu_seconds)
        yield from (starts, failures, memory, cpu)


def exposition(report: Report, starts: Metric) -> tuple[bytes, str]:
    """The body of `/metrics` and its content type. `starts` is the family of the start times."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(report, starts))
    return generate_latest(registry), CONTENT_TYPE
