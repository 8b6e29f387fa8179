"""The metrics: their names, their values, and the histogram of start times."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from emperor.model.lifecycle import Event
from emperor.model.status import LimitHits, Report, ReportedState, TransitionEvent
from emperor.web.exposition import exposition
from emperor.web.metrics import METRICS, Kind, StartTimes
from tests.cli.records import parked, refused, report, running, throttled

REPORT = replace(
    report(
        running("a.example"), throttled("b.example"), parked("c.example"),
        inis=(refused("d.example", "binary"),),
    ),
    limit_hits=(LimitHits("alice", "pids-max", 3),),
)  # fmt: skip


def _samples(status: Report, starts: StartTimes) -> dict[str, float]:
    """The values by name and labels, as Prometheus reads them."""
    body, _ = exposition(status, starts.seconds())
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sample.labels.items()):
            sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }  # fmt: skip


def _start(seconds: float | None) -> TransitionEvent:
    return TransitionEvent(
        1, datetime.now(UTC), "a.example", Event.ACCEPTING,
        ReportedState.STARTING, ReportedState.RUNNING, seconds, "",
    )  # fmt: skip


def test_the_metrics_are_exactly_those_of_the_table() -> None:
    body, _ = exposition(REPORT, StartTimes().seconds())
    samples = {
        (family.name + "_total" * (family.type == "counter"), family.type, tuple(sample.labels))
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if family.type != "histogram"
    }
    assert samples == {
        (metric.name, metric.kind.value, metric.labels)
        for metric in METRICS
        if metric.kind is not Kind.HISTOGRAM
    }


def test_a_report_becomes_samples() -> None:
    samples = _samples(REPORT, StartTimes())
    for name, value in {
        "emperord_build_info version=0.1.0": 1,
        "emperord_vassals state=running": 1,
        "emperord_vassals state=napping": 0,
        "emperord_vassals_in_maintenance": 0,
        "emperord_limit_hits_total limit=pids-max tenant=alice": 3,
        "emperord_refused_inis": 1,
        "emperord_draining": 0,
        "emperord_vassal_starts_total vassal=b.example": 5,
        "emperord_vassal_consecutive_failures vassal=b.example": 5,
        "emperord_vassal_resident_memory_bytes vassal=a.example": 37 * 2**20,
        "emperord_vassal_cpu_seconds_total vassal=a.example": 0.42,
    }.items():
        assert samples[name] == value, name
    assert not any("c.example" in name for name in samples), "it was never started"


def test_a_drain_and_a_flood_are_in_the_metrics() -> None:
    emperor = replace(REPORT.emperor, draining_since=datetime.now(UTC), held=7, turned_away=12)
    samples = _samples(replace(REPORT, emperor=emperor), StartTimes())
    assert samples["emperord_draining"] == 1
    assert samples["emperord_held_requests"] == 7
    assert samples["emperord_turned_away_requests_total"] == 12


@pytest.mark.parametrize(
    ("seconds", "first"), [(0.0, "0.025"), (0.025, "0.025"), (0.026, "0.05"), (99.0, "+Inf")]
)
def test_a_start_counts_in_each_bucket_that_holds_it(seconds: float, first: str) -> None:
    starts = StartTimes()
    starts.read(_start(seconds))
    samples = _samples(REPORT, starts)
    counts = [value for name, value in samples.items() if name.startswith("emperord_start_seconds_")
              and " le=" in name]  # fmt: skip
    bounds = [name.split("le=")[1] for name in samples if " le=" in name]
    assert counts == [float(bounds.index(bound) >= bounds.index(first)) for bound in bounds]
    assert samples["emperord_start_seconds_count"] == 1
    assert samples["emperord_start_seconds_sum"] == seconds


def test_an_event_that_ends_no_start_is_not_counted() -> None:
    starts = StartTimes()
    starts.read(_start(None))
    assert _samples(REPORT, starts)["emperord_start_seconds_count"] == 0
