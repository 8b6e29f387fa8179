"""The rows of a run: what was measured, the project's limits, and a table of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from rich.table import Table
from rich.text import Text

from docs.figures import Compared, Limit, Measured, Rival, text_of

# Factors from the measured value (seconds, bytes or a number) to the unit of a row.
_PER_ONE = {"µs": 1e6, "ms": 1000.0, "KB": 1 / 1024, "MB": 1 / 1024**2}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the benchmark, and its name."""

    what: str
    measured: Measured


def row(
    what: str, unit: str, series: Mapping[str, Sequence[float]], limit: Limit | None = None
) -> Row:
    """A row from the values of each side, in seconds, bytes or pieces; emperord is the first.

    The ratio to a rival is the median of the ratios of all pairs, or, if the rival was measured in
    fewer rounds, the ratio of the medians."""
    scale = _PER_ONE.get(unit, 1.0)
    (_, ours), *others = series.items()
    rivals = {
        name: Rival(_rounded(median(values) * scale), _ratio(ours, values))
        for name, values in others
    }
    middle, least, most = (_rounded(each(ours) * scale) for each in (median, min, max))
    today = date.today().isoformat()
    return Row(what, Measured(unit, middle, len(ours), today, rivals, least, most, limit))


def found(what: str, unit: str, value: float) -> Row:
    """A row of one value in its unit, without rivals."""
    return Row(what, Measured(unit, _rounded(value), 1, date.today().isoformat(), {}))


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    if not all(theirs):
        return None
    if len(ours) != len(theirs):
        return _rounded(median(ours) / median(theirs))
    return _rounded(median(our / their for our, their in zip(ours, theirs, strict=True)))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def table(rows: Sequence[Row]) -> Table:
    """The rows as a table for a terminal."""
    table = Table(show_lines=False)
    table.add_column("what")
    table.add_column("ours", justify="right", no_wrap=True)
    table.add_column("limit", justify="right", no_wrap=True)
    table.add_column("others · ratio of ours to theirs", no_wrap=True)
    table.add_column("n", justify="right")
    for line in rows:
        measured, unit = line.measured, line.measured.unit
        style = {True: "green", False: "bold red", None: ""}[measured.is_kept]
        table.add_row(
            line.what,
            Text(_figure(measured.ours, unit), style),
            Text(measured.limit.text(unit) if measured.limit else "", style),
            "\n".join(_rival(name, rival, unit) for name, rival in measured.rivals.items()),
            str(measured.n),
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


def _rival(name: str, rival: Rival, unit: str) -> str:
    ratio = "" if rival.ratio is None else f" · {rival.ratio:.3g}"
    return f"{name} {_figure(rival.value, unit)}{ratio}"


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else text_of(value, unit)
