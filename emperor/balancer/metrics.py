"""What the metrics of a balancer's agent are called and mean, and their text for Prometheus.
docs/metrics.md is written from the table METRICS.

The text is written here, and not by the library that the daemon uses: that would take more memory
than all else that the agent does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from emperor.web.metrics import Described, MetricKind


class TableProblem(Enum):
    """Why nginx does not have what the registry has, or what the agent wants."""

    MISSING = "missing"
    """the registry has no table"""
    BROKEN = "broken"
    """what the registry has is no table"""
    REFUSED = "refused"
    """the table makes no sense after the one in use"""
    UNWRITTEN = "unwritten"
    """the file for nginx cannot be written"""
    UNMOVED = "unmoved"
    """the agent may not move slots that it should move"""


class Presence(Enum):
    """How a backend of the table in use is."""

    UP = "up"
    DRAINS = "drains"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Numbers:
    """The agent now. `serial` is 0 while there is no table, and `since` is when nginx got it.
    `last` has when each problem last began. `backends` is None while the registry is away, since
    nobody knows then. Times are in seconds since the epoch."""

    version: str
    now: float
    is_reached: bool
    serial: int
    since: float | None
    table_problem: TableProblem | None
    last: Mapping[TableProblem, float]
    backends: Mapping[Presence, int] | None


BUILD = Described(
    "emperord_balancer_build_info", MetricKind.GAUGE, "Always 1; tells the version", ("version",)
)
ALIVE = Described(
    "emperord_balancer_alive_timestamp_seconds", MetricKind.GAUGE,
    "When the agent last wrote these metrics, which it does every 15 seconds at least",
)  # fmt: skip
REACHED = Described(
    "emperord_balancer_registry_reached", MetricKind.GAUGE, "1 while the agent follows the registry"
)
SERIAL = Described(
    "emperord_balancer_table_serial", MetricKind.GAUGE,
    "Serial of the table of slots that nginx has; 0: none",
)  # fmt: skip
SINCE = Described(
    "emperord_balancer_table_timestamp_seconds", MetricKind.GAUGE, "When nginx got that table"
)
TROUBLE = Described(
    "emperord_balancer_table_trouble", MetricKind.GAUGE,
    "1 for why nginx does not have what the registry has: missing, broken, refused, unwritten, or"
    " unmoved, where the agent may not move slots that it should move",
    ("kind",),
)  # fmt: skip
LAST = Described(
    "emperord_balancer_table_trouble_timestamp_seconds", MetricKind.GAUGE,
    "When that last began, since the agent has started", ("kind",),
)  # fmt: skip
BACKENDS = Described(
    "emperord_balancer_backends", MetricKind.GAUGE,
    "Backends of the table that nginx has: up, drains or down; there is none of it while the"
    " registry is not reached",
    ("state",),
)  # fmt: skip

METRICS = (BUILD, ALIVE, REACHED, SERIAL, SINCE, TROUBLE, LAST, BACKENDS)


def exposition(numbers: Numbers) -> str:
    """The text for Prometheus."""
    return "".join(_lines(numbers))


def _lines(numbers: Numbers) -> Iterator[str]:
    yield _family(BUILD, {numbers.version: 1})
    yield _family(ALIVE, {"": numbers.now})
    yield _family(REACHED, {"": numbers.is_reached})
    yield _family(SERIAL, {"": numbers.serial})
    if numbers.since is not None:
        yield _family(SINCE, {"": numbers.since})
    yield _family(TROUBLE, {each.value: numbers.table_problem is each for each in TableProblem})
    if numbers.last:
        yield _family(LAST, {each.value: at for each, at in numbers.last.items()})
    if numbers.backends is not None:
        backends = numbers.backends
        yield _family(BACKENDS, {each.value: backends.get(each, 0) for each in Presence})


def _family(described: Described, values: Mapping[str, float]) -> str:
    """A metric in Prometheus' format, with one sample for each value of its label, which is empty
    where it has none."""
    name = described.name
    lines = [f"# HELP {name} {described.help}", f"# TYPE {name} {described.kind.value}"]
    for label, value in values.items():
        labels = f'{{{described.labels[0]}="{label}"}}' if described.labels else ""
        lines.append(f"{name}{labels} {float(value)!r}")
    return "\n".join(lines) + "\n"
