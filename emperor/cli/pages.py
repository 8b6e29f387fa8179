"""`emperorctl pages`: what in the administrator's own pages emperord cannot use."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.check import STYLE, settings_of_daemon
from emperor.cli.failure import Failed
from emperor.cli.terminal import show, terminal
from emperor.config import load_settings
from emperor.model.section import SettingsError
from emperor.model.text import one_line, plain
from emperor.uwsgi.findings import Severity
from emperor.web.pages import FILES
from emperor.web.pages.own_pages import BrokenPage, compiled, read


def findings(folder: Path) -> Iterator[tuple[Path, BrokenPage]]:
    """Each file of `folder`, and of its folders for single vassals, that emperord cannot use.
    Raises OSError."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.resolve().is_relative_to(folder.resolve()):
            yield path, BrokenPage(f"it is a link to a folder outside {folder}; copy the folder")
        elif path.is_dir():
            yield from (
                (page, why) for page in sorted(path.iterdir()) if (why := problem(folder, page))
            )
        elif why := problem(folder, path):
            yield path, why


def problem(folder: Path, path: Path) -> BrokenPage | None:
    """Why emperord cannot use a page; None: it can."""
    try:
        if path.name not in FILES:
            raise BrokenPage(f"emperord has no such page; there are {', '.join(FILES)}")
        compiled(read(folder, path))
    except BrokenPage as error:
        return error
    except OSError as error:
        return BrokenPage(f"cannot read it: {error.strerror}")
    return None


@click.command()
@click.argument(
    "folder", metavar="[FOLDER]", required=False, type=click.Path(path_type=Path)
)  # fmt: skip
@click.pass_obj
def pages(run_dir: Path, folder: Path | None) -> None:
    """Check your own pages for visitors before emperord uses them: waiting.html, error.html,
    404.html and maintenance.html in FOLDER, and in FOLDER/DOMAIN for one app.

    FOLDER is the setting pages-dir by default. Each line reads FILE:LINE: error: cause. emperord
    checks the same when it uses a page, and shows its own page in the place of a broken one.
    """
    try:
        place = folder or load_settings(None, settings_of_daemon(run_dir)).pages_dir
        broken = list(findings(place.absolute()))
    except SettingsError as error:
        raise Failed(str(error)) from error
    except OSError as error:
        raise Failed(f"cannot read {error.filename}: {error.strerror}") from error
    console = terminal()
    for path, why in broken:
        where = plain(os.fspath(path)) + (f":{why.line}" if why.line else "")
        severity = (Severity.ERROR.value, STYLE[Severity.ERROR])
        show(console, [Text.assemble(f"{where}: ", severity, f": {one_line(why.cause)}")])
    if broken:
        raise Failed(f"emperord cannot use {len(broken)} of the files in {place}")
