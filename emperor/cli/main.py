"""emperorctl: the group of commands, and the one place that turns failures into exit statuses."""

import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from emperor import __version__
from emperor.cli.commands import Commands
from emperor.cli.failure import Failed
from emperor.model.text import one_line

# 128 + SIGINT, as a shell reports it.
INTERRUPTED = 130

# Each command's module, which is imported when the command is run, and what --help says of it.
COMMANDS = {
    "status": ("emperor.cli.status", "Show the state of all vassals in a table."),
    "why": ("emperor.cli.why", "Show who woke a vassal, how long it took, when it sleeps."),
    "logs": ("emperor.cli.logs", "Print the log of a vassal."),
    "events": ("emperor.cli.events", "Print each change of state as it happens."),
    "stats": ("emperor.cli.stats", "Show how often vassals started, failed and were hit."),
    "console": ("emperor.cli.web_console", "Open the console of emperord in the browser."),
    "top": ("emperor.cli.top", "Show live what the vassals do, with keys to act."),
    "bases": ("emperor.cli.bases", "Show the interpreters that apps are forked from."),
    "start": ("emperor.cli.orders", "Start a vassal, also a throttled one."),
    "sleep": ("emperor.cli.orders", "Put a vassal to sleep; the next hit wakes it."),
    "stop": ("emperor.cli.orders", "The same as sleep: the next hit wakes the vassal."),
    "restart": ("emperor.cli.orders", "Stop a vassal, then start it."),
    "reload": ("emperor.cli.orders", "Start a new process, which takes over from the old one."),
    "maintenance": ("emperor.cli.orders", "Close a site to visitors, who get a page, or open it."),
    "drain": ("emperor.cli.drain", "Have load balancers send requests to other machines."),
    "undrain": ("emperor.cli.drain", "Have load balancers send requests here again."),
    "notify-test": ("emperor.cli.notify_test", "Send a test notice, and say whether it arrived."),
    "upgrade": ("emperor.cli.upgrade", "Have the installed version of emperord take over."),
    "route": ("emperor.cli.route", "Show which backend a host belongs to."),
    "plan": ("emperor.cli.plan", "Show which domains another list of backends would move."),
    "rebalance": ("emperor.cli.rebalance", "Print a list of backends that moves few domains."),
    "sites": ("emperor.cli.sites", "Give nginx the files of single hosts that it accepts."),
    "fleet": ("emperor.cli.fleet.commands", "Show the backends of a fleet, and change slots."),
    "registry": ("emperor.cli.registry.commands", "Keep the inis of a fleet in one place."),
    "pages": ("emperor.cli.pages", "Check your own pages for visitors."),
    "check": ("emperor.cli.check", "Find the problems of an ini before it is deployed."),
    "doctor": ("emperor.cli.doctor", "Find what lets tenants do harm, and what does not work."),
    "completion": ("emperor.cli.completion", "Print the completion script for a shell."),
}

# What other programs call these commands.
MEANT = {
    "list": "status",
    "ls": "status",
    "ps": "status",
    "wake": "start",
    "tail": "logs",
    "test": "check",
    "audit": "doctor",
}


@click.group(
    cls=Commands,
    table=COMMANDS,
    meant=MEANT,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 failed, 2 usage, 3 no such vassal, 4 cannot reach emperord, or"
    " the registry.",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    default=Path("/run/emperord"),
    show_default=True,
    envvar="EMPERORD_RUN_DIR",
    show_envvar=True,
    help="emperord's run-dir, which holds its control.sock.",
)
@click.version_option(__version__, prog_name="emperorctl", message="%(prog)s %(version)s")
@click.pass_context
def emperorctl(context: click.Context, run_dir: Path) -> None:
    """Show and control the web apps that emperord hosts.

    \b
    emperorctl status                   which apps run, and which have failed
    emperorctl why www.example.com      who woke it, and when it will sleep
    emperorctl logs -f www.example.com
    emperorctl check www.example.com.ini
    """
    context.obj = run_dir


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    status = 0
    try:
        try:
            status = emperorctl.main(arguments, prog_name="emperorctl", standalone_mode=False) or 0
        except click.ClickException as error:
            error.show()
            status = error.exit_code
        except click.Abort:
            status = INTERRUPTED
    except* Failed as failures:
        status = _tell(failures)
    except* OSError as failures:
        status = _tell_broken_output(failures)
    return status


def _tell(failures: BaseExceptionGroup[Failed]) -> int:
    errors = [error for error in failures.exceptions if isinstance(error, Failed)]
    for message in dict.fromkeys(str(error) for error in errors):
        click.echo(f"emperorctl: {one_line(message)}", err=True)
    return max(error.exit_status for error in errors)


def _tell_broken_output(failures: BaseExceptionGroup[OSError]) -> int:
    # What a command reads or asks for, it reports itself; what is left is where it writes to.
    # Otherwise the interpreter would try to write the rest at its end, and complain again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    click.echo(f"emperorctl: cannot write: {failures.exceptions[0]}", err=True)
    return Failed.exit_status


def main() -> None:
    """The program."""
    # Live output is ended by `timeout` or `kill` too: then the terminal is put right as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))
