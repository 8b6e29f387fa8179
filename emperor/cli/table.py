"""The table of vassals: which columns there are, and how they share the width of a terminal."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from emperor.cli import text
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
    cpu: str
    waiting: str


HEADER = Row("NAME", "STATE", "FOR", "HIT", "REAP", "STARTS", "FAILS", "MEM", "CPU", "WAIT")


def rows(report: Report, now: datetime) -> tuple[Row, ...]:
    """The cells of each vassal, free of control characters."""
    return tuple(_row(vassal, now) for vassal in report.vassals)


def _row(vassal: VassalStatus, now: datetime) -> Row:
    queued = vassal.queued or 0
    position = f" #{vassal.boot_position}" if vassal.boot_position else ""
    return Row(
        name=text.plain(vassal.name),
        state=vassal.state.value + position,
        lasted=text.since(vassal.state_since, now),
        hit=text.since(vassal.last_hit_at, now),
        reap=text.until(vassal.reap_at, now),
        starts=str(vassal.starts),
        fails=str(vassal.consecutive_failures),
        memory=text.memory(vassal.rss_bytes),
        cpu=text.cpu(vassal.cpu_seconds),
        waiting=f"{vassal.held}+{queued}" if vassal.held or queued else text.NOTHING,
    )


def table(shown: Sequence[Row], width: int) -> list[Text]:
    """A line for the header and for each row, none wider than `width` cells: the columns take what
    their widest cell needs, and the names share the rest."""
    columns = list(zip(HEADER, *shown, strict=True))
    others = [max(map(len, column)) for column in columns[1:]]
    longest = max(map(cell_len, columns[0]))
    name_width = max(len(HEADER.name), min(longest, width - sum(others) - len(others)))
    return [
        _header(name_width, others),
        *(_line(row, name_width, others) for row in shown),
    ]


def _header(name_width: int, others: list[int]) -> Text:
    return Text(_padded(HEADER, name_width, others), style="bold")


def _line(row: Row, name_width: int, others: list[int]) -> Text:
    line = Text(_padded(row, name_width, others))
    line.stylize(
        STYLE[ReportedState(row.state.split(" ")[0])],
        name_width + 1,
        name_width + 1 + len(row.state),
    )
    return line


def _padded(row: Row, name_width: int, others: list[int]) -> str:
    name, state, *numbers = row
    cells = [set_cell_size(text.middle(name, name_width), name_width), state.ljust(others[0])]
    cells += [cell.rjust(width) for cell, width in zip(numbers, others[1:], strict=True)]
    return " ".join(cells)
