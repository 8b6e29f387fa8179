"""The table of vassals: which columns there are, and how they share the width of a terminal."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from emperor.model import text
from emperor.model.status import Report, ReportedState, VassalStatus

# In the order in which --watch shows them: a screen is short, and what sleeps needs no watching.
STYLE = {
    ReportedState.THROTTLED: "bold red",
    ReportedState.STARTING: "cyan",
    ReportedState.RELOADING: "cyan",
    ReportedState.STOPPING: "yellow",
    ReportedState.RUNNING: "green",
    ReportedState.NAPPING: "dim",
    ReportedState.PARKED: "dim",
}


class Row(NamedTuple):
    """One line of the table; the fields are its columns."""

    name: str
    state: str
    lasted: str
    hit: str
    reap: str
    starts: str
    fails: str
    memory: str
    peak: str
    cpu: str
    waiting: str


HEADER = Row("NAME", "STATE", "FOR", "HIT", "REAP", "STARTS", "FAILS", "MEM", "PEAK", "CPU", "WAIT")
# A narrow terminal does without these columns, the first ones first, until a name has this width.
LEAST_NAME_WIDTH = 20
PEAK = "PEAK"
DROPPED = (PEAK, "CPU", "MEM", "STARTS", "WAIT", "REAP", "HIT", "FAILS", "FOR")


def rows(report: Report, now: datetime) -> tuple[Row, ...]:
    """The cells of each vassal, free of control characters."""
    return tuple(_row(vassal, now) for vassal in report.vassals)


def _row(vassal: VassalStatus, now: datetime) -> Row:
    queued = vassal.queued or 0
    closed = " (maintenance)" if vassal.maintenance_since else ""
    position = f" #{vassal.boot_position}" if vassal.boot_position else ""
    return Row(
        name=text.plain(vassal.name),
        state=vassal.state.value + position + closed,
        lasted=text.since(vassal.state_since, now),
        hit=text.since(vassal.last_hit_at, now),
        reap=text.until(vassal.reap_at, now),
        starts=str(vassal.starts),
        fails=str(vassal.consecutive_failures),
        memory=text.memory(vassal.rss_bytes),
        peak=text.memory(vassal.memory_peak_bytes),
        cpu=text.cpu(vassal.cpu_seconds),
        waiting=f"{vassal.held}+{queued}" if vassal.held or queued else text.NOTHING,
    )


def table(shown: Sequence[Row], width: int, *, has_peak: bool = False) -> list[Text]:
    """A line for the header and for each row, none wider than `width` cells where that is possible:
    the columns take what their widest cell needs, and the names share the rest. `has_peak`: PEAK is
    one of them."""
    columns = list(zip(HEADER, *shown, strict=True))
    columns = [column for column in columns if has_peak or column[0] != PEAK]
    names, *others = columns
    longest = max(map(cell_len, names))
    others = _fitting(others, width - min(longest, LEAST_NAME_WIDTH))
    widths = [max(map(len, column)) for column in others]
    name_width = max(len(HEADER.name), min(longest, width - sum(widths) - len(widths)))
    lines = [
        Text(_padded(name, list(cells), name_width, widths))
        for name, *cells in zip(names, *others, strict=True)
    ]
    lines[0].stylize("bold")
    for line, row in zip(lines[1:], shown, strict=True):
        style = STYLE[ReportedState(row.state.split(" ")[0])]
        line.stylize(style, name_width + 1, name_width + 1 + len(row.state))
    return lines


def _fitting(columns: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """The columns that fit into `width` cells, each after a blank."""
    dropped = iter(DROPPED)
    while sum(max(map(len, column)) + 1 for column in columns) > width:
        heading = next(dropped, None)
        if heading is None:
            break
        columns = [column for column in columns if column[0] != heading]
    return columns


def _padded(name: str, cells: list[str], name_width: int, widths: list[int]) -> str:
    padded = [set_cell_size(text.middle(name, name_width), name_width), cells[0].ljust(widths[0])]
    padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return " ".join(padded)
