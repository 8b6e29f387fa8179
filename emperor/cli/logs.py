"""`emperorctl logs`: the end of what a vassal prints, and what it prints from now on."""

import asyncio
import codecs
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from emperor.cli.arguments import domain_argument
from emperor.cli.client import connect
from emperor.cli.failure import Failed
from emperor.cli.tail import follow, last
from emperor.cli.text import plain


@click.command()
@domain_argument
@click.option(
    "-f", "--follow", "is_followed", is_flag=True, help="Go on printing as the log grows."
)
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True, metavar="N",
    help="Begin with the last N lines.",
)  # fmt: skip
@click.pass_obj
def logs(run_dir: Path, domain: str, is_followed: bool, lines: int) -> None:
    """Print the end of what DOMAIN has printed.

    On a terminal, control characters are shown as escapes. A pipe or a file gets every byte as it
    is.
    """
    log = Path(asyncio.run(_log_of(run_dir, domain)))
    pieces = follow(log, lines) if is_followed else last(log, lines)
    for piece in _readable(pieces, log, domain):
        click.echo(piece, nl=False)


async def _log_of(run_dir: Path, domain: str) -> str:
    async with connect(run_dir) as client:
        return (await client.vassal(domain)).log


def _readable(pieces: Iterator[bytes], log: Path, domain: str) -> Iterator[bytes | str]:
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    is_seen = sys.stdout.isatty()
    try:
        for piece in pieces:
            yield plain(decoder.decode(piece), keep="\n\t") if is_seen else piece
    except FileNotFoundError as error:
        raise Failed(f"cannot read {log}: no such file (was {domain} ever started?)") from error
    except OSError as error:
        raise Failed(f"cannot read {log}: {error.strerror}") from error
