"""Printing: colour where it is a terminal and NO_COLOR is not set, and never any markup."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text


def terminal(stderr: bool = False) -> Console:
    """Standard output, or standard error, as a console that takes text for text."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def show(console: Console, lines: Sequence[Text]) -> None:
    """Print lines as they are: neither wrapped nor cut."""
    console.print(Text("\n").join(lines), soft_wrap=True)


def edge(console: Console) -> int:
    """The cells of a line. What reads a pipe, grep say, has no edge to be cut at."""
    return console.width if console.is_terminal else sys.maxsize


def wrapped(line: Text, width: int, indent: str = "  ") -> list[Text]:
    """`line` in lines of at most `width` cells, broken between words where that is possible. The
    lines after the first are indented."""
    if line.cell_len <= width:
        return [line]
    lines = line.wrap(Console(), max(1, width - len(indent)))
    for each in lines:
        each.rstrip()
    return [lines[0], *(Text(indent).append_text(each) for each in lines[1:])]
