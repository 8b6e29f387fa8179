"""The figures that the pages quote: their file, docs/figures.json, and how a page gets them.

`make bench` writes the measured rows. A figure from a test or a single experiment is noted by hand,
with its source. A page holds its tables of figures between two comments, as

    <!-- figures: emperor -->
    ...
    <!-- end of figures -->

and `make docs` writes what stands between them from docs/tables/emperor.md.j2.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import jinja2
import msgspec

DOCS = Path(__file__).parent
FIGURES = DOCS / "figures.json"

BLOCK = re.compile(r"(?s)(?<=<!-- figures: )(\w+)( -->\n).*?(?=<!-- end of figures -->)")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and the versions that all rows of a file were measured on."""

    cores: int
    kernel: str
    python: str
    uwsgi: str
    nginx: str


@dataclass(frozen=True, slots=True)
class Rival:
    """The median of a rival, in the unit of the row, and the ratio of emperord's median to it. Each
    is None where it is not known."""

    value: float | None = None
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """What the project wants of emperord's median, in the unit of the row: at most `value`, or at
    least. With `over`, the name of a rival, it is a limit for the ratio to that rival."""

    value: float
    at_least: bool = False
    over: str | None = None

    def holds(self, value: float) -> bool:
        """Whether a value is within the limit."""
        return value >= self.value if self.at_least else value <= self.value

    def text(self, unit: str) -> str:
        """The limit as it is read, of a row in that unit."""
        sign = "≥" if self.at_least else "≤"
        if self.over is None:
            return f"{sign} {text_of(self.value, unit)}"
        return f"{sign} {self.value:.2f} of {self.over}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A row of the benchmark. `ours` is the median of `n` values of emperord's, in `unit`, which is
    empty for a number of things; None where only ratios are known. `least` and `most` are those of
    the values. `rows` is its group, as the option --rows of the benchmark knows it."""

    unit: str
    ours: float | None
    n: int
    date: str
    rivals: dict[str, Rival]
    least: float | None = None
    most: float | None = None
    limit: Limit | None = None
    rows: str = ""

    @property
    def limited(self) -> float | None:
        """What the limit is for: emperord's median, or its ratio to a rival; None where there is no
        limit, or no ratio."""
        if self.limit is None or self.limit.over is None:
            return None if self.limit is None else self.ours
        return self.rivals.get(self.limit.over, Rival()).ratio

    @property
    def is_kept(self) -> bool | None:
        """Whether the limit is kept; None where nothing can be compared with it."""
        figure = self.limited
        return None if self.limit is None or figure is None else self.limit.holds(figure)


@dataclass(frozen=True, slots=True)
class Side:
    """What one way of hosting did in a row: the median of `n` rounds, the least and the most, in
    the unit of the row, and the median of its ratios to the row's `to`. Without a median, `note`
    says why there is none. A floor hosts nothing, and is no rival."""

    median: float | None = None
    least: float | None = None
    most: float | None = None
    n: int = 0
    ratio: float | None = None
    note: str = ""
    is_floor: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """A row of the comparison of all ways of hosting. `rows` is its group, as the option --rows of
    the benchmark knows it."""

    rows: str
    unit: str
    date: str
    to: str
    more_is_better: bool
    sides: dict[str, Side]


@dataclass(frozen=True, slots=True)
class Noted:
    """A figure that no benchmark measures, and where it comes from."""

    value: float
    unit: str
    date: str
    source: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole file."""

    machine: Machine
    measured: dict[str, Measured]
    noted: dict[str, Noted]
    compared: dict[str, Compared] = field(default_factory=dict)
    # Of the programs in the comparison.
    versions: dict[str, str] = field(default_factory=dict)

    def update(
        self, rows: dict[str, Measured], compared: dict[str, Compared], whole: bool
    ) -> "Figures":
        """A copy with `rows` in the place of rows of the same name; after a whole run, in the place
        of all rows."""
        if whole:
            return replace(self, measured=rows, compared=compared)
        return replace(self, measured=self.measured | rows, compared=self.compared | compared)


def read(path: Path) -> Figures:
    """The figures in a file. Raises msgspec.ValidationError for one of another form."""
    return msgspec.json.decode(path.read_bytes(), type=Figures)


def write(path: Path, figures: Figures) -> None:
    """Write the file, in place: it keeps its owner when root measures."""
    text = msgspec.json.format(msgspec.json.encode(figures), indent=1)
    path.write_bytes(text + b"\n")


def filled(page: Path, figures: Figures) -> str:
    """The text of a page with all its tables of figures as they should be."""

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}{found[2]}{rendered(found[1], figures)}"

    return BLOCK.sub(table, page.read_text(encoding="utf-8"))


def rendered(name: str, figures: Figures) -> str:
    """The text of a template in docs/tables."""
    tables = jinja2.Environment(
        loader=jinja2.FileSystemLoader(DOCS / "tables"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    quotes = Quotes(figures)
    names = {name: getattr(quotes, name) for name in dir(quotes) if not name.startswith("_")}

    return tables.get_template(f"{name}.md.j2").render(names)


def text_of(value: float, unit: str) -> str:
    """A figure as it is read: three digits, and the unit."""
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{digits} {'requests/s' if unit == '/s' else unit}".rstrip()


class Quotes:
    """What the templates may say. Each raises KeyError for what is not in the file."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self.machine = figures.machine

    def has(self, row: str) -> bool:
        """Whether the row was measured. A new one is not, until the next run of all rows."""
        return row in self._figures.measured

    def ours(self, row: str) -> str:
        """The median of emperord's, with its unit."""
        measured = self._row(row)
        return text_of(_known(measured.ours, row, "median of emperord's"), measured.unit)

    def value(self, row: str) -> float:
        """The median of emperord's as a number in the unit of the row, to compute with."""
        return _known(self._row(row).ours, row, "median of emperord's")

    def text(self, value: float, unit: str = "") -> str:
        """A computed figure."""
        return text_of(value, unit)

    def theirs(self, row: str, rival: str) -> str:
        """The median of a rival's, with its unit."""
        value = self._rival(row, rival).value
        return text_of(_known(value, row, f"median of {rival!r}"), self._row(row).unit)

    def ratio(self, row: str, rival: str) -> str:
        """Emperord's as a ratio of a rival's."""
        return f"{_known(self._rival(row, rival).ratio, row, f'ratio to {rival!r}'):.2f}"

    def noted(self, name: str) -> str:
        """A figure that was noted by hand."""
        if name not in self._figures.noted:
            raise KeyError(f"nothing noted as {name!r} in docs/figures.json")
        noted = self._figures.noted[name]
        return text_of(noted.value, noted.unit)

    def side(self, row: str, name: str) -> str:
        """The median of one side in a row of the comparison; a dash where it has none."""
        if row not in self._figures.compared:
            raise KeyError(f"no compared row {row!r} in docs/figures.json")
        compared = self._figures.compared[row]
        side = compared.sides.get(name)
        if side is None or side.median is None:
            return "-"
        return text_of(side.median, compared.unit)

    def is_compared(self, row: str) -> bool:
        """Whether the comparison has the row."""
        return row in self._figures.compared

    def rounds(self, rows: Collection[str]) -> str:
        """The number of rounds whose medians these rows have: 15, or 3 to 15."""
        return _span({self._row(row).n for row in rows})

    def dates(self) -> str:
        """When the rows were measured: one day, or the first and the last."""
        return _span({row.date for row in self._figures.measured.values()})

    def _rival(self, row: str, rival: str) -> Rival:
        rivals = self._row(row).rivals
        if rival not in rivals:
            raise KeyError(f"no {rival!r} in the row {row!r} of docs/figures.json")
        return rivals[rival]

    def _row(self, row: str) -> Measured:
        if row not in self._figures.measured:
            raise KeyError(f"no row {row!r} in docs/figures.json")
        return self._figures.measured[row]


def _known(value: float | None, row: str, what: str) -> float:
    if value is None:
        raise KeyError(f"no {what} in the row {row!r} of docs/figures.json")
    return value


def _span(values: Collection[int] | Collection[str]) -> str:
    first, last = min(values), max(values)
    return f"{first}" if first == last else f"{first} to {last}"
