"""The report in Prometheus' text format."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emperor.model.lifecycle import State
from emperor.model.status import Report

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Snapshot(Collector):
    """One report as a collector. Sleeping vassals are only counted: there may be thousands."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        yield self._states()
        refused = GaugeMetricFamily("emperord_refused_inis", "Inis that are not served")
        refused.add_metric([], len(self._report.refused))
        yield refused
        draining = GaugeMetricFamily(
            "emperord_draining", "1 while load balancers are sent elsewhere"
        )
        draining.add_metric([], self._report.emperor.draining is not None)
        yield draining
        held = GaugeMetricFamily("emperord_held_requests", "Requests that wait for an app")
        held.add_metric([], self._report.emperor.held)
        yield held
        away = CounterMetricFamily("emperord_turned_away", "Requests that were one too many")
        away.add_metric([], self._report.emperor.turned_away)
        yield away
        yield from self._vassals()

    def _states(self) -> Metric:
        family = GaugeMetricFamily("emperord_vassals", "Vassals by state", labels=["state"])
        counted = Counter(vassal.state for vassal in self._report.vassals)
        for state in State:
            if state is not State.REMOVED:
                family.add_metric([state.value], counted[state.value])
        return family

    def _vassals(self) -> Iterator[Metric]:
        starts = CounterMetricFamily("emperord_vassal_starts", "Spawned", labels=["vassal"])
        failures = GaugeMetricFamily(
            "emperord_vassal_failures", "Failures in a row", labels=["vassal"]
        )
        rss = GaugeMetricFamily(
            "emperord_vassal_resident_bytes", "Resident memory", labels=["vassal"]
        )
        cpu = CounterMetricFamily("emperord_vassal_cpu_seconds", "CPU time", labels=["vassal"])
        for vassal in self._report.vassals:
            if vassal.starts:
                starts.add_metric([vassal.name], vassal.starts)
                failures.add_metric([vassal.name], vassal.failures)
            if vassal.rss is not None and vassal.cpu_seconds is not None:
                rss.add_metric([vassal.name], vassal.rss)
                cpu.add_metric([vassal.name], vassal.cpu_seconds)
        yield from (starts, failures, rss, cpu)


def exposition(report: Report) -> tuple[bytes, str]:
    """The body of `/metrics` and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(report))
    return generate_latest(registry), CONTENT_TYPE
