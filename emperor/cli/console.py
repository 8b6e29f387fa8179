"""Printing: colour where it is a terminal and NO_COLOR is not set, and never any markup."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text


def terminal(stderr: bool = False) -> Console:
    """Standard output, or standard error, as a console that takes text for text."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def show(console: Console, lines: Sequence[Text]) -> None:
    """Print lines as they are: neither wrapped nor cut."""
    console.print(Text("\n").join(lines), soft_wrap=True)
