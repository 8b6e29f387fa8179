"""Shows on a terminal which vassals an order still waits for."""

from collections.abc import Sequence

import click

from emperor.cli.terminal import terminal
from emperor.model.text import middle, plain

ERASE_LINE = "\r\x1b[K"
# More names fit on no terminal, and there may be thousands.
SHOWN = 50


class Progress:
    """One line with the vassals that are waited for; nothing where stderr is no terminal."""

    def __init__(self, doing: str, domains: Sequence[str]) -> None:
        self._console = terminal(stderr=True)
        self._doing = doing
        self._left = list(domains)
        self._show()

    def done(self, domain: str, result: str) -> None:
        """Print what became of one, and wait for the others."""
        self._left.remove(domain)
        self._erase()
        if result:
            click.echo(result)
        self._show()

    def _show(self) -> None:
        if self._left and self._console.is_interactive:
            names = ", ".join(map(plain, self._left[:SHOWN]))
            line = middle(f"{self._doing} {names}", self._console.width - 2)
            click.echo(f"{line} …", nl=False, err=True)

    def _erase(self) -> None:
        if self._console.is_interactive:
            click.echo(ERASE_LINE, nl=False, err=True)
