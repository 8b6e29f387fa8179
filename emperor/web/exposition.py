"""Writes a report and what was counted in Prometheus' text format, or as OpenMetrics.

Its import takes long, and a daemon that takes over is in a hurry. So the first scrape imports it.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from math import inf

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from emperor.model.registry_status import MembershipStatus
from emperor.model.status import Report, ReportedState, VassalStatus
from emperor.web.counters import Counted, Series
from emperor.web.metrics import (
    ALL_MEMORY,
    BUILD,
    CONFIRMED,
    CPU,
    DRAINING,
    FAILING,
    FAILURES,
    HELD,
    IN_MAINTENANCE,
    LIMIT_HITS,
    MEMORY,
    NOT_FOLLOWED,
    PULLED,
    REACHED,
    REFUSED,
    REGISTERED,
    STARTS,
    TURNED_AWAY,
    UNCONFIRMED,
    VASSALS,
    YIELDING,
    Described,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class _Snapshot(Collector):
    """One report as a collector, with metrics of their own for `most` vassals."""

    def __init__(self, report: Report, counted: Counted, most: int) -> None:
        self._report = report
        self._counted = counted
        self._most = most

    def collect(self) -> Iterator[Metric]:
        emperor, vassals = self._report.emperor, self._report.vassals
        build = _gauge(BUILD)
        build.add_metric([emperor.version], 1)
        yield build
        yield self._states()
        for described, value in (
            (FAILING, sum(vassal.consecutive_failures > 0 for vassal in vassals)),
            (IN_MAINTENANCE, sum(vassal.maintenance_since is not None for vassal in vassals)),
            (REFUSED, len(self._report.refused)),
            (DRAINING, emperor.draining_since is not None),
            (HELD, emperor.held),
            (ALL_MEMORY, sum(vassal.rss_bytes or 0 for vassal in vassals)),
            (YIELDING, len(emperor.yielding)),
        ):
            gauge = _gauge(described)
            gauge.add_metric([], value)
            yield gauge
        if registry := emperor.registry:
            for described, value in (
                (REACHED, registry.unreached_since is None),
                (PULLED, registry.pulled),
                (NOT_FOLLOWED, registry.not_followed),
            ):
                gauge = _gauge(described)
                gauge.add_metric([], value)
                yield gauge
        yield from _membership(emperor.membership)
        turned_away = _counter(TURNED_AWAY)
        turned_away.add_metric([], emperor.turned_away)
        yield turned_away
        for described, series in self._counted.times.items():
            yield _histogram(described, series)
        for described, numbers in self._counted.numbers.items():
            counter = _counter(described)
            for labels, number in numbers.items():
                counter.add_metric(labels, number)
            yield counter
        limits = _counter(LIMIT_HITS)
        for reached in self._report.limit_hits:
            limits.add_metric([reached.limit, reached.tenant], reached.hits)
        yield limits
        yield from _vassals(_chosen(vassals, self._most))

    def _states(self) -> Metric:
        family = _gauge(VASSALS)
        counted = Counter(vassal.state for vassal in self._report.vassals)
        for state in ReportedState:
            family.add_metric([state.value], counted[state])
        return family


def _membership(status: MembershipStatus | None) -> Iterator[Metric]:
    if status is None:
        return
    registered, confirmed, failures = _gauge(REGISTERED), _gauge(CONFIRMED), _counter(UNCONFIRMED)
    registered.add_metric([], status.is_registered)
    if status.confirmed_at:
        confirmed.add_metric([], status.confirmed_at.timestamp())
    failures.add_metric([], status.failures)
    yield from (registered, confirmed, failures)


def _chosen(vassals: Collection[VassalStatus], most: int) -> list[VassalStatus]:
    """At most so many vassals that have started once, by name: those that fail first, and then
    those with the most starts. These hardly change from one scrape to the next. Each tenant has its
    share before another one has more than that."""
    started = [vassal for vassal in vassals if vassal.starts]
    started.sort(key=lambda each: (each.consecutive_failures == 0, -each.starts, each.name))
    share = max(1, most // max(1, len({each.uid for each in started})))
    seen = Counter[int | None]()
    within: list[VassalStatus] = []
    beyond: list[VassalStatus] = []
    for each in started:
        (within if seen[each.uid] < share else beyond).append(each)
        seen[each.uid] += 1
    return sorted([*within, *beyond][:most], key=lambda each: each.name)


def _vassals(vassals: Collection[VassalStatus]) -> Iterator[Metric]:
    starts, failures = _counter(STARTS), _gauge(FAILURES)
    memory, cpu = _gauge(MEMORY), _counter(CPU)
    for vassal in vassals:
        starts.add_metric([vassal.name], vassal.starts)
        failures.add_metric([vassal.name], vassal.consecutive_failures)
        if vassal.rss_bytes is not None and vassal.cpu_seconds is not None:
            memory.add_metric([vassal.name], vassal.rss_bytes)
            cpu.add_metric([vassal.name], vassal.cpu_seconds)
    yield from (starts, failures, memory, cpu)


def _counter(described: Described) -> CounterMetricFamily:
    """The metric without samples, as a counter."""
    name = described.name.removesuffix("_total")
    return CounterMetricFamily(name, described.help, labels=described.labels)


def _gauge(described: Described) -> GaugeMetricFamily:
    """The metric without samples, as a gauge."""
    return GaugeMetricFamily(described.name, described.help, labels=described.labels)


def _histogram(described: Described, times: Collection[Series]) -> HistogramMetricFamily:
    """A family with these series; one without labels has a series from the beginning."""
    family = HistogramMetricFamily(described.name, described.help, labels=described.labels)
    empty = Series((), tuple((bound, 0) for bound in described.bounds), 0.0)
    for series in times or ([] if described.labels else [empty]):
        buckets = [
            ("+Inf" if bound == inf else str(bound), number) for bound, number in series.buckets
        ]
        family.add_metric(series.labels, buckets, series.total)
    return family


def exposition(report: Report, counted: Counted, most: int, accept: str = "") -> tuple[bytes, str]:
    """The body of `/metrics` and its content type, which is OpenMetrics for who accepts that.
    `most` vassals have metrics of their own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(report, counted, most))
    if "application/openmetrics-text" in accept:
        body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
        return body, OPENMETRICS_TYPE
    return generate_latest(registry), CONTENT_TYPE
