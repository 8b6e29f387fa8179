"""`emperorctl logs`: the end of what a vassal prints, and what it prints from now on."""

import asyncio
import codecs
import os
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import click

from emperor.cli.arguments import domain_argument
from emperor.cli.client import connect
from emperor.cli.failure import Failed, Unreachable
from emperor.cli.names import tell
from emperor.cli.tail import follow, last
from emperor.config import load_settings
from emperor.model.domain import is_domain
from emperor.model.section import SettingsError
from emperor.model.text import one_line, plain


@click.command()
@domain_argument
@click.option(
    "-f", "--follow", "is_followed", is_flag=True, help="Go on printing as the log grows."
)
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True, metavar="N",
    help="Begin with the last N lines.",
)  # fmt: skip
@click.option(
    "--config", metavar="FILE",
    help="emperord's settings, for its log-dir where no emperord answers.  [default:"
    " /etc/uwsgi/emperord.ini, if it is there]",
)  # fmt: skip
@click.pass_obj
def logs(run_dir: Path, domain: str, is_followed: bool, lines: int, config: str | None) -> None:
    """Print the end of what DOMAIN has printed.

    On a terminal, control characters are shown as escapes. A pipe or a file gets every byte as it
    is. Where no emperord answers, the log is read from the folder of its settings. A user who may
    not read the file gets it from emperord, if the app is its own: at most the last MB, and then
    256 KB a second.
    """
    try:
        name, path = asyncio.run(_log_of(run_dir, domain))
        log = Path(path)
    except Unreachable as error:
        name, log = domain, _log_by_settings(config, domain, error)
    if _is_closed(log):
        asyncio.run(_received(run_dir, name, lines, is_followed))
        return
    show = _printer()
    try:
        for piece in follow(log, lines) if is_followed else last(log, lines):
            show(piece)
    except FileNotFoundError as error:
        raise Failed(f"cannot read {log}: no such file (was {domain} ever started?)") from error
    except OSError as error:
        raise Failed(f"cannot read {log}: {error.strerror}") from error


async def _log_of(run_dir: Path, domain: str) -> tuple[str, str]:
    """The name of the vassal, and the path of its log."""
    async with connect(run_dir) as client:
        detail = await client.host(domain)
    tell(domain, detail)
    return detail.status.name, detail.log


async def _received(run_dir: Path, name: str, lines: int, is_followed: bool) -> None:
    """Print what emperord sends of a log that this user may not read."""
    show = _printer()
    async with connect(run_dir) as client:
        if not is_followed:
            show(await client.log(name, lines))
            return
        async with aclosing(client.follow_log(name, lines)) as pieces:
            async for piece in pieces:
                show(piece)
    raise Unreachable(f"emperord sends no more of this log: it has ended, or {name} is gone")


def _is_closed(log: Path) -> bool:
    """Whether there is a log that this user may not read, or a folder that it may not enter."""
    try:
        log.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(log, os.R_OK)


def _log_by_settings(config: str | None, domain: str, error: Unreachable) -> Path:
    """Where the log is without a daemon. Raises `error` if there is none."""
    try:
        log = load_settings(config, {}).log_dir / f"{domain}.log"
        is_there = is_domain(domain) and log.exists()
    except (SettingsError, OSError):
        raise error from None
    if not is_there:
        raise error
    click.echo(one_line(f"emperorctl: {error}; reading {log}"), err=True)
    return log


def _printer() -> Callable[[bytes], None]:
    """Prints pieces of a log."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    is_seen = sys.stdout.isatty()

    def show(piece: bytes) -> None:
        text = plain(decoder.decode(piece), keep="\n\t") if is_seen else piece
        click.echo(text, nl=False)

    return show
