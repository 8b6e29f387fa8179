"""emperord: command line, log and exit status."""

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import click

from emperor import __version__
from emperor.config import DEFAULT_CONFIG, load_settings
from emperor.failure import CannotStart, first_error
from emperor.linux.journal import SafeFormatter, log_handler
from emperor.linux.lock import AlreadyRunning
from emperor.linux.no_openssl import no_openssl
from emperor.model.section import SettingsError
from emperor.model.settings import KEYS

log = logging.getLogger("emperord.daemon")

_RESTART_DELAY_SECONDS = 1.0


def _set_up_log(for_emperor: bool) -> None:
    """Log to the journal if stderr leads there, and otherwise to stderr. `for_emperor`: another
    emperord quotes the lines, which then have no time and no level."""
    handler = log_handler(os.environ)
    if for_emperor:
        handler = logging.StreamHandler()
        handler.setFormatter(SafeFormatter("%(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def _delay_next_start() -> None:
    """Wait, if systemd will start emperord again at once, as it should after a crash. A daemon that
    cannot start would be started without end, which takes a core."""
    if "NOTIFY_SOCKET" in os.environ:
        time.sleep(_RESTART_DELAY_SECONDS)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for key in reversed(KEYS):
        default = f" [{key.default}]" if key.default else ""
        option = click.option(f"--{key.name}", metavar=key.metavar, help=key.help + default)
        command = option(command)
    return command


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="emperord")
@click.option("--config", metavar="FILE", help=f"the settings file [{DEFAULT_CONFIG}]")
@click.option(
    "--prove",
    "snapshots",
    type=int,
    metavar="FORMAT",
    help="check whether this version can replace a running one",
)
@_options
def main(config: str | None, snapshots: int | None, **given: str | None) -> None:
    """Host the uWSGI apps of a folder of inis. An app starts on a request and sleeps when unused.

    Each setting is a key of the settings file and an option of the same name; the option wins. A
    TIME is a duration such as 26h, 1h30m, 90s or 500ms, or a number of seconds. See emperord(8).
    """
    _set_up_log(for_emperor=snapshots is not None)
    flags = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(config, flags)
        # The registry alone is asked over TLS.
        with no_openssl() if settings.registry_config is None else nullcontext():
            from emperor import process  # noqa: PLC0415
        if snapshots is None:
            process.run(settings, config, flags)
        else:
            process.prove(config, flags, snapshots)
    except (CannotStart, SettingsError, AlreadyRunning) as error:
        log.error("%s", error)
        if snapshots is None:
            _delay_next_start()
        sys.exit(1)
    except Exception as error:
        log.critical("emperord ends after an error: %s", first_error(error), exc_info=True)
        sys.exit(1)
    sys.exit(0)
