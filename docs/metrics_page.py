"""Writes docs/metrics.md from the table of metrics in emperor/web/metrics.py."""

from collections.abc import Iterable

from docs.folding import folded_item
from emperor.balancer.metrics import METRICS as BALANCER_METRICS
from emperor.web.metrics import METRICS, PHASE_BUCKETS_SECONDS, START_BUCKETS_SECONDS, Described

_PAGE = """\
# Metrics

<!-- Written by `make docs` from emperor/web/metrics.py and emperor/balancer/metrics.py; do not
edit. -->

`GET /metrics` on `control.sock` answers in Prometheus' text format, or as OpenMetrics if `Accept`
asks for that. [monitoring](monitoring/README.md) says how Prometheus gets it, and has alerts and a
board. [api.md](api.md) says what is stable.

- At most `metrics-vassals` vassals (1000 unless set otherwise) have metrics of their own, those
  with the label `vassal`: first those that fail, then those with the most starts. A vassal that was
  never started has none. All vassals are counted in the metrics without that label.
- Counters and histograms begin at 0 when the daemon starts or is upgraded, with two exceptions:
  `emperord_vassal_starts_total` goes on, and `emperord_vassal_cpu_seconds_total` is the CPU time of
  the processes that there are now.
- A tenant gets the metrics of its own vassals.

{metrics}

A histogram has the series `_bucket`, `_sum` and `_count`, and buckets up to these seconds:
{buckets}.
That of the phases has {phase_buckets} before these.

## A load balancer

`emperord-balancer` keeps these in a file ([monitoring](
monitoring/README.md#the-backends-and-balancers-of-a-fleet)):

{balancer_metrics}
"""


def metrics() -> str:
    """The whole of metrics.md."""
    return _PAGE.format(
        metrics=_items(METRICS),
        balancer_metrics=_items(BALANCER_METRICS),
        buckets=_bounds(START_BUCKETS_SECONDS[:-1]),
        phase_buckets=_bounds(PHASE_BUCKETS_SECONDS[: -len(START_BUCKETS_SECONDS)]),
    )


def _items(metrics: Iterable[Described]) -> str:
    return "\n".join(_item(each.name, each.kind.value, each.labels, each.help) for each in metrics)


def _item(name: str, kind: str, labels: tuple[str, ...], meaning: str) -> str:
    suffix = "".join(f", label `{label}`" for label in labels)
    return folded_item(f"- `{name}` ({kind}{suffix}): {meaning}")


def _bounds(bounds: Iterable[float]) -> str:
    return ", ".join(f"{bound:g}" for bound in bounds)
