"""`emperorctl check`: reads an ini as emperord and uWSGI would, and prints what will not work.

It needs no daemon and starts no app. Where a daemon runs, its settings count.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.client import connect
from emperor.cli.examine import Examiner, Verdict
from emperor.cli.failure import Failed
from emperor.cli.programs import Programs
from emperor.cli.terminal import edge, show, terminal, wrapped
from emperor.config import find_uwsgi, load_settings
from emperor.model.section import SettingsError
from emperor.model.settings import KEYS, Settings
from emperor.model.spec import WireProtocol
from emperor.model.status import SettingsInEffect, as_json
from emperor.model.text import one_line, plain
from emperor.uwsgi.findings import Severity
from emperor.uwsgi.resolver import CannotResolve

_MOST_IN_A_LINE = 3
STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def lines(verdict: Verdict) -> list[Text]:
    """One line for each finding, and one with the socket that the ini would be served at."""
    path = plain(str(verdict.path))
    printed = []
    for finding in verdict.findings:
        place = f"{path}:{finding.line}" if finding.line else path
        cure = f"; {one_line(finding.cure)}" if finding.cure else ""
        severity = (finding.severity.value, STYLE[finding.severity])
        printed.append(Text.assemble(f"{place}: ", severity, f": {one_line(finding.text)}{cure}"))
    if verdict.socket is not None:
        place = f"at {plain(verdict.socket)}"
        if verdict.protocol is not WireProtocol.UWSGI:
            place += f" in {verdict.protocol.value}, and not through nginx, which speaks uwsgi"
        printed.append(Text(f"{path}: would be served {place}"))
    return printed


@dataclass(frozen=True, slots=True)
class FindingInJson:
    """A finding of `emperorctl check --json`. `line` is null if it is about the whole ini."""

    line: int | None
    severity: Severity
    text: str
    cure: str | None


@dataclass(frozen=True, slots=True)
class IniInJson:
    """An ini in `emperorctl check --json`. `socket` is null if it would not be served."""

    path: str
    socket: str | None
    findings: tuple[FindingInJson, ...]


def in_json(verdict: Verdict) -> IniInJson:
    """The verdict, as `emperorctl check --json` prints it."""
    findings = tuple(
        FindingInJson(each.line or None, each.severity, each.text, each.cure or None)
        for each in verdict.findings
    )
    return IniInJson(str(verdict.path), verdict.socket, findings)


def inis_of(paths: Sequence[Path]) -> Iterator[Path]:
    """The inis among `paths` and in the folders among them. Raises Failed."""
    for path in paths:
        if _is_ini(path.name) or not path.is_dir():
            yield path
            continue
        try:
            inis = [each for each in sorted(path.iterdir()) if _is_ini(each.name)]
        except OSError as error:
            raise Failed(f"cannot read {path}: {error.strerror}") from error
        if not inis:
            raise Failed(f"cannot check {path}: there is no DOMAIN.ini in it")
        yield from inis


def _is_ini(name: str) -> bool:
    return name.endswith(".ini") and not name.startswith(".")


@click.command()
@click.argument(
    "paths", metavar="INI|FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path)
)  # fmt: skip
@click.option(
    "--config", metavar="FILE",
    help="emperord's settings.  [default: those of the emperord that runs, else"
    " /etc/uwsgi/emperord.ini, if it is there]",
)  # fmt: skip
@click.option(
    "--sockets-dir",
    metavar="DIR",
    help="The folder of the sockets, instead of the one in the settings.",
)
@click.option("--json", "raw", is_flag=True, help="JSON: an array with an object for each INI.")
@click.pass_obj
def check(
    run_dir: Path, paths: tuple[Path, ...], config: str | None, sockets_dir: str | None, raw: bool
) -> None:
    """Print what in each INI, or in each ini of a FOLDER, does not work, or works otherwise than it
    looks.

    Each line reads FILE:LINE: severity: cause; cure. An INI with an error is not served, and the
    exit status is 1. Check an ini before you move it into the folder of vassals.
    """
    inis = tuple(dict.fromkeys(inis_of(paths)))
    try:
        flags = {} if sockets_dir is None else {"sockets-dir": sockets_dir}
        running = {} if config else settings_of_daemon(run_dir)
        settings = load_settings(config, running | flags)
        uwsgi = find_uwsgi(settings.uwsgi_binary)
        found = asyncio.run(_check([path.absolute() for path in inis], settings, uwsgi))
        verdicts = [replace(verdict, path=path) for verdict, path in zip(found, inis, strict=True)]
    except SettingsError as error:
        raise Failed(str(error)) from error
    except CannotResolve as error:
        raise Failed(f"cannot read the options of {uwsgi}: {error}") from error
    if raw:
        click.echo(json.dumps([as_json(in_json(verdict)) for verdict in verdicts]))
    else:
        _print(verdicts)
    broken = [str(verdict.path) for verdict in verdicts if verdict.socket is None]
    if len(broken) > _MOST_IN_A_LINE:
        raise Failed(f"{len(verdicts) - len(broken)} would be served, {len(broken)} would not")
    if broken:
        raise Failed(f"cannot serve {', '.join(broken)}")


def _print(verdicts: Sequence[Verdict]) -> None:
    console = terminal()
    width = edge(console)
    for verdict in verdicts:
        show(console, [part for line in lines(verdict) for part in wrapped(line, width)])
    broken = [plain(str(verdict.path)) for verdict in verdicts if verdict.socket is None]
    if len(broken) > _MOST_IN_A_LINE:
        show(console, [Text("Would not be served:"), *(Text(f"  {path}") for path in broken)])


def settings_of_daemon(run_dir: Path) -> dict[str, str]:
    """The settings of the daemon that runs, by key; none where no daemon answers."""
    if not (run_dir / "control.sock").exists():
        return {}
    try:
        answer = asyncio.run(_ask(run_dir))
    except Failed as error:
        message = one_line(f"emperorctl: {error}; the settings are those of the file")
        click.echo(message, err=True)
        return {}
    known = {key.name for key in KEYS}
    return {each.key: each.value for each in answer.settings if each.key in known}


async def _ask(run_dir: Path) -> SettingsInEffect:
    async with connect(run_dir) as client:
        return await client.settings()


async def _check(inis: Sequence[Path], settings: Settings, uwsgi: Path) -> list[Verdict]:
    programs = Programs(uwsgi)
    await programs.asked()
    examiner = Examiner(settings, uwsgi, programs, inis)
    return [await examiner.examine(path) for path in inis]
