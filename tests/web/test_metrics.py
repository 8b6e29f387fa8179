"""The metrics: their names, their values, and the histogram of start times."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from emperor.model.cause import CauseKind, StartMethod
from emperor.model.history import (
    PastStart,
    PastStop,
    Replied,
    Started,
    StartOutcome,
    StopKind,
    Stopped,
    Subject,
)
from emperor.model.lifecycle import Event
from emperor.model.registry_status import MembershipStatus, RegistryStatus
from emperor.model.status import LimitHits, Report, ReportedState, TransitionEvent, Wake
from emperor.web.counters import Counters
from emperor.web.exposition import exposition
from emperor.web.metrics import HELD_SECONDS, METRICS
from tests.cli.records import NOW, parked, refused, report, running, throttled

SUBJECT = Subject("a.example", None)
# As Prometheus asks.
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5"

REPORT = replace(
    report(
        running("a.example"), throttled("b.example"), parked("c.example"),
        inis=(refused("d.example", "binary"),),
    ),
    limit_hits=(LimitHits("alice", "pids-max", 3),),
)  # fmt: skip
REPORT = replace(
    REPORT,
    emperor=replace(
        REPORT.emperor,
        registry=RegistryStatus(None, None, 7, 2),
        membership=MembershipStatus(True, NOW, 3, None),
    ),
)


def _samples(
    status: Report, counters: Counters | None = None, most: int = 1000
) -> dict[str, float]:
    """The values by name and labels, as Prometheus reads them."""
    body, _ = exposition(status, (counters or Counters()).counted(), most)
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sample.labels.items()):
            sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }  # fmt: skip


def _event(seconds: float | None) -> TransitionEvent:
    return TransitionEvent(
        1, datetime.now(UTC), "a.example", Event.ACCEPTING,
        ReportedState.STARTING, ReportedState.RUNNING, seconds, "",
    )  # fmt: skip


def _start(
    cause: CauseKind = CauseKind.HIT,
    outcome: StartOutcome = StartOutcome.ACCEPTED,
    method: StartMethod | None = StartMethod.FORK,
) -> Started:
    wake = Wake("hit", None, None, None, None, None, NOW, 2.0, 52.0, 60.0, None, None, 1.0)
    started = None if method is None else "by some way"
    return Started(SUBJECT, 1, PastStart(wake, cause, outcome, started, None), method, 0.06)


def _full() -> Counters:
    """Counters in which every histogram has a series."""
    counters = Counters()
    counters.read(_event(0.06))
    counters.take(_start())
    counters._times[HELD_SECONDS].add(0.06, "200")
    return counters


@pytest.mark.parametrize("accept", ["", "text/plain;version=0.0.4", OPENMETRICS])
def test_the_metrics_are_exactly_those_of_the_table(accept: str) -> None:
    body, kind = exposition(REPORT, _full().counted(), 1000, accept)
    assert kind.startswith(
        "application/openmetrics-text" if accept == OPENMETRICS else "text/plain"
    )
    parse = openmetrics if accept == OPENMETRICS else text_string_to_metric_families
    families = list(parse(body.decode()))
    samples = {
        (family.name + "_total" * (family.type == "counter"), family.type,
         tuple(name for name in sample.labels if name != "le"))
        for family in families
        for sample in family.samples
    }  # fmt: skip
    assert samples == {(metric.name, metric.kind.value, metric.labels) for metric in METRICS}


def test_promtool_has_nothing_to_complain_of() -> None:
    body, _ = exposition(REPORT, _full().counted(), 1000)
    command = ["promtool", "check", "metrics"]
    result = subprocess.run(command, input=body, capture_output=True, check=False)
    assert (result.returncode, result.stderr, result.stdout) == (0, b"", b"")


def test_a_report_becomes_samples() -> None:
    samples = _samples(REPORT)
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
    emperor = replace(emperor, yielding=("alice", "bob"))
    samples = _samples(replace(REPORT, emperor=emperor))
    assert samples["emperord_draining"] == 1
    assert samples["emperord_held_requests"] == 7
    assert samples["emperord_turned_away_requests_total"] == 12
    assert samples["emperord_yielding_tenants"] == 2


def test_a_machine_without_a_fleet_has_no_metrics_of_one() -> None:
    names = {name for name in _samples(report(running("a.example"))) if "_fleet_" in name}
    assert names == set()


def test_a_registration_is_in_the_metrics() -> None:
    assert {name: value for name, value in _samples(REPORT).items() if "_fleet_" in name} == {
        "emperord_fleet_registered": 1,
        "emperord_fleet_confirmed_timestamp_seconds": NOW.timestamp(),
        "emperord_fleet_failures_total": 3,
    }
    never = replace(REPORT.emperor, membership=MembershipStatus(False, None, 0, None))
    samples = _samples(replace(REPORT, emperor=never))
    assert samples["emperord_fleet_registered"] == 0
    assert "emperord_fleet_confirmed_timestamp_seconds" not in samples


@pytest.mark.parametrize(
    ("seconds", "first"), [(0.0, "0.025"), (0.025, "0.025"), (0.026, "0.05"), (99.0, "+Inf")]
)
def test_a_start_counts_in_each_bucket_that_holds_it(seconds: float, first: str) -> None:
    counters = Counters()
    counters.read(_event(seconds))
    samples = {
        name: value for name, value in _samples(REPORT, counters).items() if "_start_s" in name
    }
    counts = {name.split("le=")[1]: value for name, value in samples.items() if " le=" in name}
    bounds = list(counts)
    for bound, count in counts.items():
        assert count == float(bounds.index(bound) >= bounds.index(first))
    assert samples["emperord_start_seconds_count"] == 1
    assert samples["emperord_start_seconds_sum"] == seconds


def test_an_event_that_ends_no_start_is_not_counted() -> None:
    counters = Counters()
    counters.read(_event(None))
    assert _samples(REPORT, counters)["emperord_start_seconds_count"] == 0


def test_a_wake_counts_by_its_phases() -> None:
    counters = Counters()
    counters.take(start := _start())
    reply = replace(start.start, wake=replace(start.start.wake, first_reply_ms=75.0))
    counters.take(Replied(SUBJECT, 1, reply, StartMethod.FORK))
    samples = _samples(REPORT, counters)
    sums = {phase: samples[f"emperord_wake_phase_seconds_sum phase={phase} runtime=base"]
            for phase in ("turn", "spawn", "load", "accept", "first-reply")}  # fmt: skip
    assert sums == pytest.approx(
        {"turn": 0.001, "spawn": 0.001, "load": 0.05, "accept": 0.008, "first-reply": 0.015}
    )
    assert samples["emperord_wake_seconds_sum outcome=accepted runtime=base"] == 0.06
    assert samples["emperord_starts_total cause=hit outcome=accepted runtime=base"] == 1


@pytest.mark.parametrize(
    ("start", "labels", "is_wake"),
    [
        (_start(CauseKind.ORDER),
         "cause=order outcome=accepted runtime=base", False),
        (_start(CauseKind.CONNECTION, method=StartMethod.EXEC),
         "cause=connection outcome=accepted runtime=exec", True),
        (_start(outcome=StartOutcome.FAILED, method=None),
         "cause=hit outcome=failed runtime=none", True),
        (_start(CauseKind.CHANGE, StartOutcome.ABANDONED),
         "cause=change outcome=abandoned runtime=base", False),
    ],
    ids=["order", "connection", "failure", "abandoned"],
)  # fmt: skip
def test_a_start_counts_by_its_cause(start: Started, labels: str, is_wake: bool) -> None:
    counters = Counters()
    before = _samples(REPORT, counters)[f"emperord_starts_total {labels}"]
    counters.take(start)
    samples = _samples(REPORT, counters)
    assert (before, samples[f"emperord_starts_total {labels}"]) == (0, 1)
    assert any(name.startswith("emperord_wake_seconds") for name in samples) == is_wake
    has_phases = is_wake and start.start.outcome is StartOutcome.ACCEPTED
    assert any(name.startswith("emperord_wake_phase") for name in samples) == has_phases


def test_the_end_of_a_service_counts_by_its_kind() -> None:
    counters = Counters()
    counters.take(Stopped(SUBJECT, PastStop(NOW, StopKind.DIED, "killed by SIGKILL", 3.0)))
    samples = _samples(REPORT, counters)
    stops = {kind.value: samples[f"emperord_stops_total kind={kind.value}"] for kind in StopKind}
    assert stops == {"stopped": 0, "ended": 0, "died": 1}


def test_the_failing_and_the_busiest_have_metrics_of_their_own() -> None:
    rows = (throttled("failing.example"), *(
        replace(running(f"{n}.example"), starts=n) for n in (1, 5, 9)
    ))  # fmt: skip
    for most, names in ((0, []), (1, ["failing"]), (3, ["5", "9", "failing"])):
        samples = _samples(report(*rows), most=most)
        shown = [
            name.split("=")[1] for name in samples if name.startswith("emperord_vassal_starts")
        ]
        assert [name.partition(".")[0] for name in shown] == names
        assert samples["emperord_failing_vassals"] == 1
        assert samples["emperord_resident_memory_bytes"] == 3 * 37 * 2**20, "of all"


def test_failing_apps_hide_none_of_a_neighbours() -> None:
    theirs = [replace(throttled(f"{number}.mallory.example"), uid=1001) for number in range(9)]
    hers = [replace(running(f"{number}.alice.example"), uid=1002) for number in range(2)]
    found = {
        name.partition("vassal=")[2]
        for name in _samples(report(*theirs, *hers), most=5)
        if name.startswith("emperord_vassal_starts_total")
    }
    assert found == {*(each.name for each in hers), *(each.name for each in theirs[:3])}
