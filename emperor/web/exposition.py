"""Writes a report and the start times in Prometheus' text format.

Its import takes long, and a daemon that takes over is in a hurry. So the first scrape imports it.
"""

from collections import Counter
from collections.abc import Iterator
from math import inf

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from emperor.model.status import Report, ReportedState
from emperor.web.metrics import (
    BUILD,
    CPU,
    DRAINING,
    FAILURES,
    HELD,
    IN_MAINTENANCE,
    LIMIT_HITS,
    MEMORY,
    REFUSED,
    START,
    STARTS,
    TURNED_AWAY,
    VASSALS,
    Described,
    StartSeconds,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Snapshot(Collector):
    """One report as a collector. A vassal that was never started is only counted: there may be
    thousands."""

    def __init__(self, report: Report, starts: StartSeconds) -> None:
        self._report = report
        self._starts = starts

    def collect(self) -> Iterator[Metric]:
        emperor = self._report.emperor
        build = _gauge(BUILD)
        build.add_metric([emperor.version], 1)
        yield build
        yield self._states()
        closed = (vassal.maintenance_since is not None for vassal in self._report.vassals)
        for described, value in (
            (IN_MAINTENANCE, sum(closed)),
            (REFUSED, len(self._report.refused)),
            (DRAINING, emperor.draining_since is not None),
            (HELD, emperor.held),
        ):
            gauge = _gauge(described)
            gauge.add_metric([], value)
            yield gauge
        turned_away = _counter(TURNED_AWAY)
        turned_away.add_metric([], emperor.turned_away)
        yield turned_away
        yield self._start_seconds()
        limits = _counter(LIMIT_HITS)
        for reached in self._report.limit_hits:
            limits.add_metric([reached.limit, reached.tenant], reached.hits)
        yield limits
        yield from self._vassals()

    def _start_seconds(self) -> Metric:
        buckets = [
            ("+Inf" if bound == inf else str(bound), number)
            for bound, number in self._starts.buckets
        ]
        return HistogramMetricFamily(START.name, START.help, buckets, self._starts.total)

    def _states(self) -> Metric:
        family = _gauge(VASSALS)
        counted = Counter(vassal.state for vassal in self._report.vassals)
        for state in ReportedState:
            family.add_metric([state.value], counted[state])
        return family

    def _vassals(self) -> Iterator[Metric]:
        starts, failures = _counter(STARTS), _gauge(FAILURES)
        memory, cpu = _gauge(MEMORY), _counter(CPU)
        for vassal in self._report.vassals:
            if vassal.starts:
                starts.add_metric([vassal.name], vassal.starts)
                failures.add_metric([vassal.name], vassal.consecutive_failures)
            if vassal.rss_bytes is not None and vassal.cpu_seconds is not None:
                memory.add_metric([vassal.name], vassal.rss_bytes)
                cpu.add_metric([vassal.name], vassal.cpu_seconds)
        yield from (starts, failures, memory, cpu)


def _counter(described: Described) -> CounterMetricFamily:
    """An empty family of it."""
    name = described.name.removesuffix("_total")
    return CounterMetricFamily(name, described.help, labels=described.labels)


def _gauge(described: Described) -> GaugeMetricFamily:
    """An empty family of it."""
    return GaugeMetricFamily(described.name, described.help, labels=described.labels)


def exposition(report: Report, starts: StartSeconds) -> tuple[bytes, str]:
    """The body of `/metrics` and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(report, starts))
    return generate_latest(registry), CONTENT_TYPE
