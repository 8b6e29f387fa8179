"""`emperorctl doctor`: looks at this machine as an attacker and as an administrator would."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import click
from rich.text import Text

from emperor.cli.check import settings_of_daemon
from emperor.cli.failure import Failed
from emperor.cli.survey import survey_of
from emperor.cli.terminal import show, terminal
from emperor.config import find_uwsgi, load_settings
from emperor.model.checkup import Remark, examine
from emperor.model.expected_values import Weight
from emperor.model.section import SettingsError
from emperor.model.status import as_json
from emperor.model.text import one_line

_STYLE = {Weight.OPEN: "bold red", Weight.NOTE: "cyan"}


@dataclass(frozen=True, slots=True)
class Checkup:
    """What `emperorctl doctor --json` prints."""

    open: int
    remarks: tuple[Remark, ...]


@click.command()
@click.option("--json", "raw", is_flag=True, help="JSON: an object with all remarks.")
@click.pass_obj
def doctor(run_dir: Path, raw: bool) -> None:
    """Look for what lets tenants do harm on this machine, and for what does not work, and say what
    mends it.

    It looks at files and their owners, accounts and groups, kernel settings, limits, control
    groups, uWSGI, the unit of systemd and nginx's configuration, and changes nothing. Each line
    reads severity: cause; cure. The exit status is 1 if something is open. Run it as root: other
    users see less. `emperorctl check FOLDER` looks at what the inis say.
    """
    try:
        settings = load_settings(None, settings_of_daemon(run_dir))
        uwsgi = find_uwsgi(settings.uwsgi_binary)
    except SettingsError as error:
        raise Failed(str(error)) from error
    remarks = examine(survey_of(run_dir, settings, uwsgi))
    count = sum(remark.weight is Weight.OPEN for remark in remarks)
    if raw:
        click.echo(json.dumps(as_json(Checkup(count, tuple(remarks)))))
    else:
        show(terminal(), [_line(remark) for remark in remarks])
    if os.geteuid() != 0:
        click.echo("emperorctl: not all was looked at; run it as root", err=True)
    if count:
        raise Failed(f"{count} of these are open" if count > 1 else "one of these is open")
    if not raw:
        click.echo("Nothing is open.")


def _line(remark: Remark) -> Text:
    severity = (remark.weight.value, _STYLE[remark.weight])
    return Text.assemble(severity, f": {one_line(remark.text)}; {one_line(remark.cure)}")
