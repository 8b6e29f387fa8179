"""The table of a run: what was measured, and the project's limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table
from rich.text import Text

from docs.figures import Compared

# Factors from the measured value (seconds, bytes or a number) to the unit of a row.
_PER_ONE = {"µs": 1e6, "ms": 1000.0, "KB": 1 / 1024, "MB": 1 / 1024**2}


@dataclass(frozen=True, slots=True)
class Bound:
    """The project's limit for emperord's figure, in the unit of the row. With `over`, the name of a
    rival, it is a limit for the ratio of emperord's figure to the rival's figure."""

    limit: float
    at_least: bool = False
    over: str | None = None

    def holds(self, value: float) -> bool:
        """Whether a value is within the limit."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Rival:
    """The median of a rival in the same run, and the ratio of emperord's figure to it. The ratio is
    the median of the ratios of all pairs, or, if the rival was measured in fewer rounds, the ratio
    of the medians."""

    name: str
    value: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `ours` is the median of `n` values of emperord's, in `unit`."""

    what: str
    unit: str
    ours: float
    n: int
    rivals: tuple[Rival, ...]
    bound: Bound | None

    @property
    def kept(self) -> bool | None:
        """Whether the limit is kept; None where there is no limit, or no ratio to compare."""
        if self.bound is None:
            return None
        if self.bound.over is None:
            return self.bound.holds(self.ours)
        ratios = {rival.name: rival.ratio for rival in self.rivals}
        ratio = ratios.get(self.bound.over)
        return None if ratio is None else self.bound.holds(ratio)


def row(
    what: str, unit: str, series: Mapping[str, Sequence[float]], bound: Bound | None = None
) -> Row:
    """A row from the values of each side, in seconds, bytes or pieces; emperord is the first."""
    scale = _PER_ONE.get(unit, 1.0)
    (_, ours), *others = series.items()
    rivals = tuple(
        Rival(name, median(values) * scale, _ratio(ours, values)) for name, values in others
    )
    return Row(what, unit, median(ours) * scale, len(ours), rivals, bound)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    if not all(theirs):
        return None
    if len(ours) != len(theirs):
        return median(ours) / median(theirs)
    return median(our / their for our, their in zip(ours, theirs, strict=True))


def table(rows: Sequence[Row]) -> Table:
    """The rows as a table for a terminal."""
    table = Table(show_lines=False)
    table.add_column("what")
    table.add_column("ours", justify="right", no_wrap=True)
    table.add_column("bound", justify="right", no_wrap=True)
    table.add_column("others · ratio of ours to theirs", no_wrap=True)
    table.add_column("n", justify="right")
    for line in rows:
        style = {True: "green", False: "bold red", None: ""}[line.kept]
        table.add_row(
            line.what,
            Text(_figure(line.ours, line.unit), style),
            Text(_limit(line), style),
            "\n".join(_rival(rival, line.unit) for rival in line.rivals),
            str(line.n),
        )
    return table


def compared_table(rows: Mapping[str, Compared]) -> Table:
    """The rows of the comparison as a table for a terminal."""
    table = Table()
    for name in ("what", "who", "median", "spread", "ratio", "n", "remark"):
        table.add_column(name, no_wrap=name not in ("what", "remark"))
    for what, row in rows.items():
        for name, side in row.sides.items():
            figures = ("", "", "")
            if side.median is not None and side.least is not None and side.most is not None:
                spread = f"{_figure(side.least, '')} to {_figure(side.most, '')}"
                ratio = "" if side.ratio is None else f"{side.ratio:.3g}"
                figures = (_figure(side.median, row.unit), spread, ratio)
            table.add_row(what, name, *figures, str(side.n or ""), side.note)
    return table


def _figure(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{digits} {unit}".rstrip()


def _limit(line: Row) -> str:
    bound = line.bound
    if bound is None:
        return ""
    sign = "≥" if bound.at_least else "≤"
    if bound.over is None:
        return f"{sign} {_figure(bound.limit, line.unit)}"
    return f"{sign} {bound.limit:g} of {bound.over}"


def _rival(rival: Rival, unit: str) -> str:
    ratio = "" if rival.ratio is None else f" · {rival.ratio:.3g}"
    return f"{rival.name} {_figure(rival.value, unit)}{ratio}"
