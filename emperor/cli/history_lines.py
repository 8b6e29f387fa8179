"""The history of a vassal as lines: each start and stop until now."""

import sys
from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from emperor.cli.terminal import wrapped
from emperor.model.history import PastStart, PastStop, StartOutcome, StopKind, VassalHistory
from emperor.model.text import clock, duration, one_line, plain
from emperor.model.wake_text import phases, who

_MARGIN = " " * 21


def history_lines(history: VassalHistory, width: int = sys.maxsize) -> list[Text]:
    """All that `emperorctl why --history` prints, in lines of at most `width` cells."""
    lines = [Text(plain(history.name), style="bold")]
    entries = sorted(_entries(history), key=lambda entry: entry[0])
    for at, entry in entries:
        lines += wrapped(Text.assemble((clock(at), "dim"), "  ", entry), width, _MARGIN)
    if history.kept_since is None or not entries:
        lines.append(Text("Nothing is kept of it."))
    return lines


def _entries(history: VassalHistory) -> Iterator[tuple[datetime, Text]]:
    for start in history.starts:
        yield start.wake.at, _started(start)
    for stop in history.stops:
        yield stop.at, _stopped(stop)


def _started(start: PastStart) -> Text:
    text = Text(one_line(f"started ({who(start.wake)}):")).append(" ")
    match start.outcome:
        case StartOutcome.FAILED:
            return text.append("failed", "bold red").append(one_line(f": {start.error}"))
        case StartOutcome.ABANDONED:
            return text.append("told to stop before it accepted", "yellow")
        case StartOutcome.ACCEPTED:
            how = f"; {start.started}" if start.started else ""
            return text.append(one_line(f"{phases(start.wake)}{how}"))


def _stopped(stop: PastStop) -> Text:
    style = "bold red" if stop.kind is StopKind.DIED else ""
    served = f" after {duration(stop.served_seconds)}"
    return Text.assemble((stop.kind.value, style), f"{served}: ", one_line(stop.reason))
